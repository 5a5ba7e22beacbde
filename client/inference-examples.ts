/** How a model is asked with curl and with OpenAI's client: both work as they stand. */
export function inferenceExamples(url: string, key: string, model: string): { curl: string; openai: string } {
  const request = { model, prompt: "The weather is", max_tokens: 16 };
  return {
    curl: `curl ${url}/v1/completions -H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json' -d '${JSON.stringify(request)}'`,
    openai: `import OpenAI from "openai";
const client = new OpenAI({ baseURL: "${url}/v1", apiKey: "${key}" });
const answer = await client.completions.create(${JSON.stringify(request)});
console.log(answer.choices[0].text);`,
  };
}
