/** The carried Gaussians in Spark's own arrays, sent again after every change. */

import { ExtSplats, SparkRenderer, SplatMesh, utils } from "@sparkjsdev/spark";
import * as THREE from "three";
import type { CarriedGaussians, Texels } from "./gaussians";

export class DrawnSplats {
  readonly group = new THREE.Group();
  private readonly spark: SparkRenderer;
  private readonly splats: ExtSplats;
  private readonly mesh: SplatMesh;
  private readonly texels: Texels;
  private readonly ready: Promise<unknown>;

  constructor(private readonly gaussians: CarriedGaussians, renderer: THREE.WebGLRenderer, changed: () => void) {
    // drawn as `render/gaussians_torch.py` draws: cut off where alpha falls below 1/255, sorted by camera z
    this.spark = new SparkRenderer({
      renderer, onDirty: changed, accumExtSplats: true, sortRadial: false, enableLod: false,
      maxStdDev: Math.sqrt(2 * Math.log(255)), minAlpha: 1 / 255, lodRaycast: 0,
    });
    const room = 4 * utils.getTextureSize(gaussians.count).maxSplats;
    const first = new Uint32Array(room), second = new Uint32Array(room);
    this.texels = { first, firstFloats: new Float32Array(first.buffer), second };
    this.splats = new ExtSplats({ extArrays: [first, second], numSplats: gaussians.count });
    this.mesh = new SplatMesh({ extSplats: this.splats, raycastable: false, editable: false });
    this.ready = this.mesh.initialized;
    this.group.add(this.spark, this.mesh);
  }

  /** Whether they were sorted once: before that there is nothing to see. */
  get shown(): boolean {
    return this.spark.activeSplats > 0;
  }

  /** Takes the rig's pose over. */
  refresh(eye: THREE.Vector3): void {
    this.gaussians.place(eye, this.texels);
    const [opacities, others] = this.splats.textures;
    opacities.needsUpdate = true;
    if (this.gaussians.reshaped) others.needsUpdate = true;
    this.mesh.updateVersion();
  }

  /** Waits until what is to be seen is sorted for this camera. */
  async settle(scene: THREE.Scene, camera: THREE.Camera): Promise<void> {
    await this.ready;
    const pause = () => new Promise((done) => setTimeout(done, 5));
    for (let i = 0; i < 2; i++) {
      while (this.spark.sorting) await pause();
      await this.spark.update({ scene, camera });
    }
    while (this.spark.sorting || this.spark.sortDirty) await pause();
  }
}
