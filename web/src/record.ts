/** What moves on the stage as a WebM file. */

import type { Stage } from "./stage";

const HEADER = 1000; // bytes: a shorter file holds no picture
const PATIENCE = 30; // seconds: where drawing is slow the first picture is captured long after it was drawn

/** Some seconds on a plain ground, in real time; `show` is called with the time before each frame. */
export async function record(stage: Stage, seconds: number, show: (seconds: number) => void): Promise<Blob> {
  const type = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"].find((t) => MediaRecorder.isTypeSupported(t));
  if (!type) throw new Error("this browser records no WebM");
  const stream = stage.canvas.captureStream(30);
  const recorder = new MediaRecorder(stream, { mimeType: type, videoBitsPerSecond: 8e6 });
  const parts: Blob[] = [];
  const size = () => parts.reduce((sum, part) => sum + part.size, 0);
  recorder.addEventListener("dataavailable", (e) => parts.push(e.data));
  const stopped = new Promise((done) => recorder.addEventListener("stop", done));
  stage.renderer.setClearColor(0x26282b, 1);
  try {
    recorder.start(200);
    const start = performance.now();
    await new Promise<void>((done) => {
      const step = () => {
        const t = (performance.now() - start) / 1000;
        if (t >= seconds && (size() > HEADER || t >= seconds + PATIENCE)) return done();
        show(Math.min(t, seconds - 1e-3));
        stage.request();
        requestAnimationFrame(step);
      };
      step();
    });
    recorder.stop();
    await stopped;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    stage.renderer.setClearColor(0, 0);
    stage.request();
  }
  if (size() <= HEADER) throw new Error("this browser captured no picture; choose Mesh, or a smaller window");
  return new Blob(parts, { type: "video/webm" });
}
