// The theme without its fonts: the system's are used, and nothing is loaded for them.
import DefaultTheme from "vitepress/theme-without-fonts";
import "./style.css";

export default DefaultTheme;
