/** Builds the studio's page; `vite build -c vite.studio.config.ts`, once for each of its two programs. */

import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { type Plugin, defineConfig } from "vite";

const OUT = process.env.STUDIO_OUT ?? "../src/headcast/studio/page";
const PART = process.env.STUDIO_PART ?? "studio";
const FONTS = { inter: "inter-latin-wght-normal", newsreader: "newsreader-latin-wght-normal" };
const ENTRIES: Record<string, string> = { studio: "src/studio/main.ts", frame: "src/studio/frame.ts" };

function licences(): string {
  const parts = Object.keys(FONTS).map((name) => {
    const folder = `node_modules/@fontsource-variable/${name}`;
    const { version } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
    return `The font ${name} (fontsource ${version}, Latin)\n\n${readFileSync(`${folder}/LICENSE`, "utf8").trim()}\n`;
  });
  const viewer = readFileSync("../src/headcast/avatar/export/viewer/LICENSES.txt", "utf8");
  return ["The studio's page is part of headcast (Apache-2.0). With it come two fonts and the viewer:\n", ...parts, viewer]
    .join(`\n${"-".repeat(72)}\n\n`);
}

const pack: Plugin = {
  name: "pack",
  writeBundle(_, bundle) {
    for (const item of Object.values(bundle)) {
      if (item.type === "chunk") writeFileSync(`${OUT}/${PART}.js`, item.code);
      else if (item.fileName.endsWith(".css")) writeFileSync(`${OUT}/studio.css`, item.source);
    }
    for (const name of ["index.html", "view.html", "view.css", "head.svg"]) copyFileSync(`studio/${name}`, `${OUT}/${name}`);
    for (const [name, file] of Object.entries(FONTS))
      copyFileSync(`node_modules/@fontsource-variable/${name}/files/${file}.woff2`, `${OUT}/${name}.woff2`);
    writeFileSync(`${OUT}/LICENSES.txt`, licences());
  },
};

export default defineConfig({
  plugins: [pack],
  build: {
    target: "es2022",
    outDir: `dist/${PART}`,
    lib: { entry: ENTRIES[PART], formats: ["iife"], name: `headcast_${PART}`, fileName: () => `${PART}.js`, cssFileName: "studio" },
  },
});
