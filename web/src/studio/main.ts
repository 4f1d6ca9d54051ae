/** The studio's page: which view is shown, and the line that says what happened. */

import { el } from "../dom";
import { type State, follow } from "./api";
import { Compare } from "./compare";
import { HeadView } from "./head";
import { Home, takeFiles } from "./home";
import { Making } from "./making";
import { Photo } from "./photo";
import "./studio.css";
import { type Shell, type View, attempt } from "./view";

const root = document.getElementById("view")!, line = document.getElementById("line")!, away = document.getElementById("away")!;
let state: State | null = null;
let view: View | null = null;
let shown = "";
let timer = 0;

const shell: Shell = {
  go(path: string): void {
    location.hash = `#/${path}`;
  },
  say(text: string, wrong = false): void {
    line.textContent = text;
    line.classList.toggle("wrong", wrong);
    clearTimeout(timer);
    if (text) timer = window.setTimeout(() => shell.say(""), wrong ? 15000 : 6000);
  },
  state: () => state!,
};

const VIEWS: Record<string, new (shell: Shell, ids: string) => View> = { photo: Photo, making: Making, head: HeadView, compare: Compare };

function make(path: string): View {
  const [name, ids] = path.split("/");
  const known = Object.hasOwn(VIEWS, name) && /^[0-9a-f]{16}(,[0-9a-f]{16})*$/.test(ids ?? "");
  return known ? new VIEWS[name](shell, ids) : new Home(shell);
}

function route(): void {
  if (!state) return;
  const path = location.hash.replace(/^#\/?/, "");
  if (!view || path !== shown) {
    view?.close?.();
    shell.say("");
    const first = view === null;
    view = make(path);
    shown = path;
    root.replaceChildren(view.root);
    if (!first) {
      root.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  }
  view.update(state);
  document.title = view.title === "headcast studio" ? view.title : `${view.title} · headcast`;
}

addEventListener("hashchange", route);
addEventListener("dragover", (e) => {
  e.preventDefault();
  document.body.classList.add("over");
});
addEventListener("dragleave", (e) => e.relatedTarget === null && document.body.classList.remove("over"));
addEventListener("drop", (e) => {
  e.preventDefault();
  document.body.classList.remove("over");
  const files = [...(e.dataTransfer?.files ?? [])];
  if (state) attempt(shell, () => takeFiles(shell, files));
});

const themes = ["auto", "light", "dark"] as const;
const theme = document.getElementById("theme")!;
function wear(name: string): void {
  document.documentElement.dataset.theme = name;
  theme.textContent = { auto: "Appearance: automatic", light: "Appearance: light", dark: "Appearance: dark" }[name] ?? "";
  localStorage.setItem("theme", name);
}
theme.addEventListener("click", () => {
  const now = themes.indexOf((document.documentElement.dataset.theme ?? "auto") as "auto");
  wear(themes[(now + 1) % themes.length]);
});
wear(localStorage.getItem("theme") ?? "auto");

follow(
  (found) => {
    state = found;
    route();
    document.documentElement.dataset.ready = "yes";
  },
  (lost) => (away.hidden = !lost),
);
away.append(el("span", {}, "The studio is not answering. Is it still running in the terminal?"));
