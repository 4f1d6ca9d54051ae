/** What all views of the page share. */

import { type Child, el } from "../dom";
import type { State } from "./api";

export interface View {
  readonly root: HTMLElement;
  readonly title: string;
  update(state: State): void;
  close?(): void;
}

export interface Shell {
  go: (path: string) => void;
  say: (text: string, wrong?: boolean) => void;
  state: () => State;
}

/** Runs what may fail; says why it did. */
export function attempt(shell: Shell, act: () => Promise<unknown>): void {
  act().catch((e: unknown) => shell.say(sentence((e as Error).message), true));
}

/** Server's words as a sentence. */
export function sentence(text: string): string {
  const words = text.trim();
  return words ? words.charAt(0).toUpperCase() + words.slice(1) + (/[.!?…]$/.test(words) ? "" : ".") : "";
}

export function button(text: string, act: () => void, kind = "plain"): HTMLButtonElement {
  return el("button", { type: "button", class: kind, click: act }, text);
}

/** A button that opens the computer's files. */
export function chooser(text: string, accept: string, many: boolean, take: (files: File[]) => void, kind = "plain"): HTMLElement {
  const input = el("input", { type: "file", accept, class: "hidden", tabindex: "-1", "aria-hidden": "true" });
  input.multiple = many;
  input.addEventListener("change", () => {
    take([...(input.files ?? [])]);
    input.value = "";
  });
  return el("span", { class: "chooser" }, button(text, () => input.click(), kind), input);
}

export function picture(src: string, alt: string, kind = ""): HTMLImageElement {
  return el("img", { src, alt, class: kind, decoding: "async" });
}

/** Replaces children only when what they show has changed, so that focus and scroll stay. */
export function fill(node: HTMLElement, key: string, make: () => Child[]): void {
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.replaceChildren(...make());
}

export const METHODS: Record<string, string> = {
  fit: "Standard",
  portrait4d: "Portrait4D (preview)",
  superhead: "Super-resolved (for small photos)",
  ohpavatars: "For poor photos",
  insta: "From a video (slow)",
};
export const methodName = (name: string) => METHODS[name] ?? name;
export const PHOTOS = "image/*,video/*,.heic,.avatar";

/** Seconds as a person says them. */
export function duration(seconds: number): string {
  if (seconds < 8) return "a few seconds";
  if (seconds < 55) return `about ${Math.ceil(seconds / 10) * 10} seconds`;
  const minutes = Math.round(seconds / 60);
  return minutes <= 1 ? "about a minute" : `about ${minutes} minutes`;
}
