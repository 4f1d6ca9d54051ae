/** Reads files with the viewer's code: node clips.mjs WEB < [{names, files: [{name, base64}]}] > [{...}]. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const web = process.argv[2];
const { buildSync } = createRequire(createRequire(join(web, "package.json")).resolve("vite"))("esbuild");
const stdin = {
  contents: 'export { Clip } from "./clip"; export { Names } from "./weights";',
  resolveDir: join(web, "src"),
  loader: "ts",
};
const built = buildSync({ stdin, bundle: true, format: "esm", write: false }).outputFiles[0].text;
const { Clip, Names } = await import(`data:text/javascript;base64,${Buffer.from(built).toString("base64")}`);

const { names, files } = JSON.parse(readFileSync(0, "utf8"));
const known = new Names(names);

function read({ name, base64 }) {
  try {
    const clip = Clip.parse(name, new Uint8Array(Buffer.from(base64, "base64")), known);
    const moments = Array.from({ length: clip.frames }, (_, t) => clip.at(t / clip.fps));
    return {
      frames: clip.frames, fps: clip.fps, notes: clip.notes,
      weights: moments.map((m) => [...m.weights]), neck: moments.map((m) => m.neck),
    };
  } catch (e) {
    return { error: e.message };
  }
}

process.stdout.write(JSON.stringify(files.map(read)));
