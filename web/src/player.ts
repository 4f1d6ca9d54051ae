/** Plays a clip on the stage. */

import type { Clip } from "./clip";
import type { Stage } from "./stage";

export class Player {
  clip: Clip | null = null;
  seconds = 0;
  playing = false;
  onChange: () => void = () => undefined;
  private last = 0;

  constructor(private readonly stage: Stage) {}

  load(clip: Clip | null, play: boolean): void {
    this.clip = clip;
    this.seconds = 0;
    this.playing = play && clip !== null;
    this.last = performance.now();
    if (clip) this.show();
    if (this.playing) requestAnimationFrame((t) => this.tick(t));
    this.onChange();
  }

  toggle(): void {
    if (!this.clip) return;
    this.playing = !this.playing;
    this.last = performance.now();
    if (this.playing) requestAnimationFrame((t) => this.tick(t));
    this.onChange();
  }

  seek(seconds: number): void {
    this.seconds = seconds;
    this.show();
    this.onChange();
  }

  private tick(now: number): void {
    if (!this.playing || !this.clip) return;
    this.seconds = (this.seconds + Math.max(0, now - this.last) / 1000) % this.clip.seconds;
    this.last = now;
    this.show();
    this.onChange();
    requestAnimationFrame((t) => this.tick(t));
  }

  private show(): void {
    const moment = this.clip!.at(this.seconds);
    this.stage.weights.set(moment.weights);
    this.stage.neck = moment.neck;
    this.stage.setYaw(moment.yaw);
    this.stage.change();
  }
}
