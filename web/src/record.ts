/** What moves on the stage as a WebM file. */

import type { Stage } from "./stage";

/** Some seconds on a plain ground; `show` is called with the time before each frame. */
export async function record(stage: Stage, seconds: number, show: (seconds: number) => void): Promise<Blob> {
  const type = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"].find((t) => MediaRecorder.isTypeSupported(t));
  if (!type) throw new Error("this browser records no WebM");
  const recorder = new MediaRecorder(stage.canvas.captureStream(30), { mimeType: type, videoBitsPerSecond: 8e6 });
  const parts: Blob[] = [];
  recorder.addEventListener("dataavailable", (e) => parts.push(e.data));
  const stopped = new Promise((done) => recorder.addEventListener("stop", done));
  stage.renderer.setClearColor(0x26282b, 1);
  try {
    recorder.start();
    const start = performance.now();
    await new Promise<void>((done) => {
      const step = () => {
        const t = (performance.now() - start) / 1000;
        if (t >= seconds) return done();
        show(t);
        requestAnimationFrame(step);
      };
      step();
    });
    recorder.stop();
    await stopped;
  } finally {
    stage.renderer.setClearColor(0, 0);
    stage.request();
  }
  return new Blob(parts, { type: "video/webm" });
}
