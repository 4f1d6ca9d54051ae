/** Builds one script and writes it, gzipped, with its licences where the Python package takes it from. */

import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { type Plugin, defineConfig } from "vite";

const OUT = "../src/headcast/avatar/export/viewer";

function licences(): string {
  const parts = ["three", "@sparkjsdev/spark", "fflate"].map((name) => {
    const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
    return `${name} ${version}\n\n${readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim()}\n`;
  });
  const own = "The viewer is part of headcast (Apache-2.0). It contains:\n";
  const rust = readFileSync("licences-of-wasm.txt", "utf8");
  return [own, ...parts, rust].join(`\n${"-".repeat(72)}\n\n`);
}

const pack: Plugin = {
  name: "pack",
  writeBundle(_, bundle) {
    const chunks = Object.values(bundle).filter((c) => c.type === "chunk");
    if (chunks.length !== 1) throw new Error(`${chunks.length} scripts instead of one`);
    writeFileSync(`${OUT}/viewer.js.gz`, gzipSync(chunks[0].code, { level: 9 }));
    writeFileSync(`${OUT}/LICENSES.txt`, licences());
  },
};

export default defineConfig({
  plugins: [pack],
  build: {
    target: "es2022",
    outDir: "dist",
    lib: { entry: "src/main.ts", formats: ["iife"], name: "headcastViewer", fileName: () => "viewer.js" },
    chunkSizeWarningLimit: 5000,
  },
});
