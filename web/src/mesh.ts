/** A piece of the rig as something three.js draws. */

import * as THREE from "three";
import { type ShutLids, depthMaterial, skinMaterial, textureOf } from "./material";
import { type Payload, need } from "./payload";
import type { Piece, Rig } from "./rig";

/** The pieces of the rig, refreshed after each of its updates. */
export class DrawnMesh {
  readonly group = new THREE.Group();
  private readonly parts: { piece: Piece; source: Uint16Array | Uint32Array; geometry: THREE.BufferGeometry }[] = [];

  private skin: THREE.ShaderMaterial | null = null; // of the head

  private constructor(private readonly rig: Rig) {}

  static async make(payload: Payload, rig: Rig): Promise<DrawnMesh> {
    const drawn = new DrawnMesh(rig);
    for (const piece of rig.pieces) await drawn.add(payload, piece);
    return drawn;
  }

  private async add({ arrays }: Payload, piece: Piece): Promise<void> {
    const get = (k: string) => need(arrays, `${piece.name}.drawn.${k}`);
    const source = get("vertex") as Uint16Array;
    const geometry = new THREE.BufferGeometry();
    const stream = (size: number) =>
      new THREE.BufferAttribute(new Float32Array(source.length * size), size).setUsage(THREE.DynamicDrawUsage);
    geometry.setAttribute("position", stream(3));
    geometry.setAttribute("normal", stream(3));
    geometry.setAttribute("openness", stream(1));
    geometry.setAttribute("uv", new THREE.BufferAttribute(get("uv"), 2));
    geometry.setIndex(new THREE.BufferAttribute(get("faces"), 1));
    (geometry.attributes.openness.array as Float32Array).fill(1);
    const colour = await textureOf(need(arrays, `picture.${piece.name}`), "image/jpeg");
    const alpha = arrays.get(`picture.${piece.name}.alpha`) as Uint8Array | undefined;
    const coverage = alpha ? await textureOf(alpha, "image/png") : null;
    const lids = piece.name === "head" ? await shutLids(arrays) : null;
    const material = skinMaterial(colour, coverage, need(arrays, "light"), lids);
    if (lids) this.skin = material;
    if (coverage) this.addDepth(geometry);
    this.show(new THREE.Mesh(geometry, material), 2);
    this.parts.push({ piece, source, geometry });
  }

  /** What is see-through hides its own far side: its depth is drawn first, after all opaque pieces. */
  private addDepth(geometry: THREE.BufferGeometry): void {
    this.show(new THREE.Mesh(geometry, depthMaterial()), 1);
  }

  private show(mesh: THREE.Mesh, order: number): void {
    mesh.frustumCulled = false;
    mesh.renderOrder = (mesh.material as THREE.Material).transparent || order === 1 ? order : 0;
    this.group.add(mesh);
  }

  /** Takes the rig's vertices over. */
  refresh(): void {
    this.skin?.uniforms.shut.value.set(...this.rig.shut);
    for (const { piece, source, geometry } of this.parts) {
      const p = geometry.attributes.position.array as Float32Array, n = geometry.attributes.normal.array as Float32Array;
      for (let i = 0; i < source.length; i++) {
        const from = 3 * source[i], to = 3 * i;
        for (let k = 0; k < 3; k++) {
          p[to + k] = piece.position[from + k];
          n[to + k] = piece.normal[from + k];
        }
      }
      geometry.attributes.position.needsUpdate = geometry.attributes.normal.needsUpdate = true;
      if (piece.name !== "head") continue;
      const o = geometry.attributes.openness.array as Float32Array;
      for (let i = 0; i < source.length; i++) o[i] = this.rig.openness[source[i]];
      geometry.attributes.openness.needsUpdate = true;
    }
  }
}

async function shutLids(arrays: Payload["arrays"]): Promise<ShutLids | null> {
  if (!arrays.has("lids.place")) return null;
  const place = need<Float32Array>(arrays, "lids.place");
  const textures = await Promise.all([0, 1].map((k) => textureOf(need(arrays, `picture.lid.${k}`), "image/jpeg")));
  return { textures, place: [0, 4].map((k) => new THREE.Vector4(...place.subarray(k, k + 4))) };
}
