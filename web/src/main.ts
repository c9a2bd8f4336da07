import { mount } from "svelte";
import App from "./App.svelte";
import "./tokens.css";
import "./app.css";
import "./calls.css";
import "./files.css";
import "./groups.css";

const target = document.getElementById("app");
if (target) mount(App, { target });
