/** The frame that shows a head: fetches it and hands it to the viewer's program. */

import type { Shown } from "../main";

declare global {
  interface Window {
    shown?: Shown;
  }
}

/** Without a graphics card an image of all splats takes seconds: the mesh is shown first. */
function drawnInSoftware(canvas: HTMLCanvasElement): boolean {
  const gl = canvas.getContext("webgl2"), info = gl?.getExtension("WEBGL_debug_renderer_info");
  return info ? /swiftshader|llvmpipe|software|basic render/i.test(String(gl!.getParameter(info.UNMASKED_RENDERER_WEBGL))) : false;
}

async function start(): Promise<void> {
  const id = location.pathname.split("/").at(-1)!;
  const answer = await fetch(`/api/heads/${id}/viewer.bin`);
  if (!answer.ok) throw new Error("this head cannot be shown in 3D");
  const root = document.getElementById("stage")!;
  const shown = await window.headcast.show(await answer.arrayBuffer(), root);
  if (drawnInSoftware(shown.stage.canvas)) shown.stage.setMode("mesh");
  const canvas = shown.stage.canvas;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "The head; arrow keys turn it, plus and minus come closer");
  document.addEventListener("keydown", (e) => {
    const turns: Record<string, [number, number]> = { ArrowLeft: [-5, 0], ArrowRight: [5, 0], ArrowUp: [0, 5], ArrowDown: [0, -5] };
    const turn = turns[e.key];
    if (turn) shown.stage.orbit(...turn);
    else if (e.key === "+" || e.key === "-") {
      shown.stage.camera.position.lerp(shown.stage.controls.target, e.key === "+" ? 0.1 : -0.1);
      shown.stage.controls.update();
      shown.stage.request();
    } else return;
    e.preventDefault();
  });
  window.shown = shown;
  document.documentElement.dataset.ready = "yes";
  parent.postMessage("ready", location.origin);
}

start().catch((e: unknown) => parent.postMessage((e as Error).message, location.origin));
