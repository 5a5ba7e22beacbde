/** The tuning view alone on a page; the key is in the address's fragment, which no request carries. */
import { render } from "preact";
import TuneView from "../../../web/tune/view.tsx";

const connection = { url: location.origin, key: location.hash.slice(1) };
const get = async (path: string) =>
  (await fetch(path, { headers: { authorization: `Bearer ${connection.key}` } })).json();
const api = {
  connection,
  students: async () => (await get("/v1/students")).students,
  publicSets: async () => (await get("/v1/public-sets")).publicSets,
};
render(<TuneView api={api} provider="the provider" />, document.body);
