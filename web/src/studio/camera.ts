/** A photo from the computer's camera. */

import { el } from "../dom";
import { button } from "./view";

/** Shows the camera; gives the photo that was taken, or nothing. */
export async function openCamera(): Promise<File | null> {
  if (!navigator.mediaDevices) throw new Error("this browser gives no camera here; choose a photo instead");
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 }, facingMode: "user" } });
  } catch {
    throw new Error("the camera cannot be used; allow it in the browser, or choose a photo");
  }
  const video = el("video", { autoplay: "", playsinline: "", "aria-label": "Camera" });
  video.muted = true;
  video.srcObject = stream;
  const dialog = el("dialog", { class: "camera", "aria-label": "Camera" });
  document.body.append(dialog);
  try {
    return await new Promise<File | null>((done) => {
      const take = () => {
        const canvas = el("canvas");
        canvas.width = video.videoWidth;
        canvas.height = video.videoHeight;
        canvas.getContext("2d")!.drawImage(video, 0, 0);
        canvas.toBlob((b) => done(b ? new File([b], "Camera.jpg") : null), "image/jpeg", 0.95);
      };
      dialog.append(
        video, el("p", {}, "Look straight ahead, with your mouth closed, in even light."),
        el("div", { class: "actions" }, button("Take the photo", take, "primary"), button("Not now", () => done(null))),
      );
      dialog.addEventListener("close", () => done(null));
      dialog.showModal();
    });
  } finally {
    for (const track of stream.getTracks()) track.stop();
    dialog.remove();
  }
}
