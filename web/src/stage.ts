/** The scene: head, light, camera; draws only when something changed. */

import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { CarriedGaussians } from "./gaussians";
import { DrawnMesh } from "./mesh";
import type { Payload, ViewFacts } from "./payload";
import { type Pose, Rig } from "./rig";
import { DrawnSplats } from "./splats";

export type Mode = "mesh" | "splat";
export type ViewName = "front" | "source";

/** A camera with the picture's own focal length and middle, fitted into any shape. */
class PhotoCamera extends THREE.PerspectiveCamera {
  photo: ViewFacts | null = null;
  width = 1;
  height = 1;
  override updateProjectionMatrix(): void {
    super.updateProjectionMatrix();
    if (!this.photo) return;
    const [w, h] = this.photo.size, K = this.photo.K, W = this.width, H = this.height;
    const s = Math.min(W / w, H / h) * this.zoom;
    const cx = W / 2 + (K[0][2] - w / 2) * s, cy = H / 2 + (K[1][2] - h / 2) * s;
    const e = this.projectionMatrix.elements;
    e[0] = (2 * K[0][0] * s) / W;
    e[5] = (2 * K[1][1] * s) / H;
    e[8] = 1 - (2 * cx) / W;
    e[9] = (2 * cy) / H - 1;
    this.fov = (2 * Math.atan(H / (2 * K[1][1] * s)) * 180) / Math.PI;
    this.projectionMatrixInverse.copy(this.projectionMatrix).invert();
  }
}

export class Stage {
  readonly renderer: THREE.WebGLRenderer;
  readonly rig: Rig;
  readonly scene = new THREE.Scene();
  readonly camera = new PhotoCamera(30, 1, 0.05, 30);
  readonly controls: OrbitControls;
  weights: Float32Array;
  neck = [0, 0, 0];
  mode: Mode = "mesh";
  /** Milliseconds of the last update of the rig and of the Gaussians. */
  cost = { rig: 0, splats: 0 };
  onFrame: () => void = () => undefined;
  private base: Pose = { rotation: [0, 0, 0], translation: [0, 0, 0], neck: [0, 0, 0], jaw: [0, 0, 0] };
  private mesh!: DrawnMesh;
  private splats: DrawnSplats | null = null;
  private stale = true;
  private waiting = false;
  private held = false;
  private yaw = 0;
  private readonly eye = new THREE.Vector3();

  constructor(readonly canvas: HTMLCanvasElement, private readonly payload: Payload) {
    this.renderer = new THREE.WebGLRenderer({ canvas, alpha: true, antialias: true, premultipliedAlpha: true });
    this.renderer.setPixelRatio(Math.min(2, devicePixelRatio));
    this.renderer.setClearColor(0, 0);
    this.rig = new Rig(payload);
    this.weights = new Float32Array(payload.facts.expressions.length);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = false;
    this.controls.minDistance = 0.25;
    this.controls.maxDistance = 6;
    this.controls.addEventListener("change", () => this.request());
  }

  async start(): Promise<void> {
    this.mesh = await DrawnMesh.make(this.payload, this.rig);
    this.scene.add(this.mesh.group);
    if (CarriedGaussians.has(this.payload)) {
      this.rig.update(this.weights, this.base);
      const carried = new CarriedGaussians(this.payload, this.rig);
      this.splats = new DrawnSplats(carried, this.renderer, () => this.request());
      this.scene.add(this.splats.group);
    }
    this.setMode(this.splats ? "splat" : "mesh");
    this.look("front");
  }

  get hasSplats(): boolean {
    return this.splats !== null;
  }

  setMode(mode: Mode): void {
    this.mode = mode === "splat" && this.splats ? "splat" : "mesh";
    if (this.splats) this.splats.group.visible = this.mode === "splat";
    this.change();
  }

  /** Goes to a view; gives the weights and neck that belong to it. */
  look(name: ViewName): ViewFacts {
    const view = this.payload.facts.views[name];
    this.base = { ...view.pose };
    this.neck = [...view.pose.neck];
    this.yaw = 0;
    const rows = view.cam_from_world;
    const m = new THREE.Matrix4().fromArray(rows.flat()).transpose().invert();
    m.multiply(new THREE.Matrix4().makeScale(1, -1, -1));
    m.decompose(this.camera.position, this.camera.quaternion, new THREE.Vector3());
    this.camera.zoom = 1;
    this.camera.photo = view;
    const ahead = new THREE.Vector3(0, 0, -1).applyQuaternion(this.camera.quaternion);
    const to = new THREE.Vector3(...view.center).sub(this.camera.position);
    this.controls.target.copy(this.camera.position).addScaledVector(ahead, Math.max(0.2, to.dot(ahead)));
    this.camera.up.set(0, 1, 0);
    this.camera.updateProjectionMatrix();
    this.controls.update();
    this.change();
    return view;
  }

  /** Turns the camera about the head, degrees, as `--yaw` and `--pitch` do. */
  orbit(yaw: number, pitch = 0): void {
    const offset = this.camera.position.clone().sub(this.controls.target);
    const ball = new THREE.Spherical().setFromVector3(offset);
    ball.theta += (yaw * Math.PI) / 180;
    ball.phi = Math.min(Math.PI - 0.05, Math.max(0.05, ball.phi - (pitch * Math.PI) / 180));
    this.camera.position.copy(this.controls.target).add(offset.setFromSpherical(ball));
    this.controls.update();
    this.request();
  }

  /** A clip's own camera movement, beside what the hand did. */
  setYaw(degrees: number): void {
    if (degrees === this.yaw) return;
    this.orbit(degrees - this.yaw);
    this.yaw = degrees;
  }

  resize(width: number, height: number): void {
    this.camera.width = width;
    this.camera.height = height;
    this.renderer.setSize(width, height, false);
    this.camera.updateProjectionMatrix();
    this.request();
  }

  /** The weights or the pose changed. */
  change(): void {
    this.stale = true;
    this.request();
  }

  request(): void {
    if (this.waiting || this.held) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (!this.held) this.draw();
    });
  }

  private pose(): void {
    // until Gaussians have been sorted for the first time, which may take seconds, the mesh stands in for them
    this.mesh.group.visible = this.mode === "mesh" || !this.splats!.shown;
    const eyeMoved = this.eye.distanceToSquared(this.camera.position) > 1e-10;
    if (this.stale) {
      const start = performance.now();
      this.rig.update(this.weights, { ...this.base, neck: this.neck });
      if (this.mesh.group.visible) this.mesh.refresh();
      this.cost.rig = performance.now() - start;
    }
    if (this.mode === "splat" && (this.stale || eyeMoved)) {
      const start = performance.now();
      this.eye.copy(this.camera.position);
      this.splats!.refresh(this.eye);
      this.cost.splats = performance.now() - start;
    }
    this.stale = false;
  }

  draw(): void {
    this.camera.updateMatrixWorld();
    this.pose();
    this.renderer.render(this.scene, this.camera);
    this.onFrame();
  }

  /** A PNG of the present view in a size of its own; transparent, or on a colour. */
  async picture(width: number, height: number): Promise<Blob> {
    const size = this.renderer.getSize(new THREE.Vector2()), ratio = this.renderer.getPixelRatio();
    this.held = true;
    try {
      this.renderer.setPixelRatio(1);
      this.resize(width, height);
      if (this.mode === "splat") {
        this.camera.updateMatrixWorld();
        this.pose();
        await this.splats!.settle(this.scene, this.camera);
      }
      this.draw();
      const blob = new Promise<Blob | null>((done) => this.canvas.toBlob(done, "image/png"));
      const found = await blob;
      if (!found) throw new Error("the browser gives no picture");
      return found;
    } finally {
      this.renderer.setPixelRatio(ratio);
      this.held = false;
      this.resize(size.x, size.y);
    }
  }
}
