// Loads a GLB in the Khronos validator, three.js and assimp: node tools/check_glb.mjs FILE.glb FOLDER_OF_PACKAGE_JSON
// Prints one JSON object. With a pose on standard input ({weights: {name: w}, joints: {name: [x, y, z, w]}}),
// three.js also poses the avatar, and its vertices go to FILE.glb.three.f32 (world positions, mesh by mesh).
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const [file, folder] = process.argv.slice(2);
const require = createRequire(pathToFileURL(join(folder, "package.json")));
const bytes = new Uint8Array(readFileSync(file));
const pose = process.stdin.isTTY ? {} : JSON.parse(readFileSync(0, "utf8") || "{}");

async function validated() {
  const report = await require("gltf-validator").validateBytes(bytes, { maxIssues: 50 });
  const { numErrors: errors, numWarnings: warnings, numInfos: infos, messages } = report.issues;
  return { errors, warnings, infos, messages: messages.map((m) => `${m.code} ${m.pointer}: ${m.message}`) };
}

async function loaded() {
  globalThis.self = globalThis;
  const main = require.resolve("three");
  const three = await import(pathToFileURL(join(dirname(main), "three.module.js")));
  const { GLTFLoader } = await import(
    pathToFileURL(join(dirname(main), "..", "examples", "jsm", "loaders", "GLTFLoader.js"))
  );
  const loader = new GLTFLoader();
  // There is no picture decoder in node: textures stay empty, everything else is read.
  loader.register(() => ({ name: "empty-textures", loadTexture: async () => new three.Texture() }));
  const gltf = await loader.parseAsync(bytes.buffer, "");
  const meshes = [];
  gltf.scene.traverse((node) => node.isMesh && meshes.push(node));
  pose.joints && posed(gltf.scene);
  const positions = [];
  gltf.scene.updateMatrixWorld(true);
  for (const mesh of meshes) {
    for (const [name, weight] of Object.entries(pose.weights ?? {}))
      if (name in (mesh.morphTargetDictionary ?? {}))
        mesh.morphTargetInfluences[mesh.morphTargetDictionary[name]] = weight;
    const v = new three.Vector3();
    for (let i = 0; i < mesh.geometry.attributes.position.count; i++) {
      mesh.getVertexPosition(i, v).applyMatrix4(mesh.matrixWorld);
      positions.push(v.x, v.y, v.z);
    }
  }
  if (pose.weights) writeFileSync(`${file}.three.f32`, new Uint8Array(new Float32Array(positions).buffer));
  return {
    version: three.REVISION,
    meshes: meshes.map((m) => ({
      name: m.name, material: m.material.name, vertices: m.geometry.attributes.position.count,
      targets: Object.keys(m.morphTargetDictionary ?? {}), bones: m.skeleton?.bones.map((b) => b.name) ?? [],
    })),
  };
}

async function imported() {
  const assimp = await require("assimpjs")();
  const files = new assimp.FileList();
  files.AddFile("avatar.glb", bytes);
  const result = assimp.ConvertFileList(files, "assjson");
  if (!result.IsSuccess()) return { error: result.GetErrorCode() };
  const scene = JSON.parse(new TextDecoder().decode(result.GetFile(0).GetContent()));
  return {
    meshes: scene.meshes.map((m) => ({ vertices: m.vertices.length / 3, bones: (m.bones ?? []).map((b) => b.name) })),
  };
}

function posed(scene) {
  for (const [name, q] of Object.entries(pose.joints)) scene.getObjectByName(name).quaternion.set(...q);
}

console.log(JSON.stringify({ validator: await validated(), three: await loaded(), assimp: await imported() }));
