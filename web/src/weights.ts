/** Rules for the 52 weights, as the head model has them. */

const GAZE = { In: 0.52, Out: 0.52, Up: 0.44, Down: 0.52 }; // radians at eyeLook* = 1
const CLOSES = 0.86; // share of mouthClose that closes a full jawOpen
const TONGUE_OPENS = 0.4; // least jawOpen at tongueOut = 1
const SIDES = [["Left", 1], ["Right", -1]] as const;

export class Names {
  readonly index: ReadonlyMap<string, number>;
  constructor(readonly names: readonly string[]) {
    this.index = new Map(names.map((n, i) => [n, i]));
  }
  at(name: string): number {
    const i = this.index.get(name);
    if (i === undefined) throw new Error(`unknown expression '${name}'`);
    return i;
  }
}

/** (left yaw, left pitch, right yaw, right pitch) that the eyeLook* weights ask for. */
export function gazeFromLook(w: ArrayLike<number>, names: Names): number[] {
  return SIDES.flatMap(([side, out]) => {
    const look = (way: keyof typeof GAZE) => w[names.at(`eyeLook${way}${side}`)] * GAZE[way];
    return [out * (look("Out") - look("In")), look("Up") - look("Down")];
  });
}

/** Sets the eyeLook* weights from a gaze. */
export function lookFromGaze(w: Float32Array, gaze: ArrayLike<number>, names: Names): void {
  SIDES.forEach(([side, sign], s) => {
    const out = sign * gaze[2 * s], up = gaze[2 * s + 1];
    const ways = { Out: out, In: -out, Up: up, Down: -up };
    for (const way of Object.keys(ways) as (keyof typeof GAZE)[])
      w[names.at(`eyeLook${way}${side}`)] = Math.max(0, ways[way]) / GAZE[way];
  });
}

/** The weights that the linear shapes get: see `head/combine.py`. */
export function combine(weights: ArrayLike<number>, names: Names): Float32Array {
  const e = Float32Array.from(weights);
  for (const [side] of SIDES) {
    const open = 1 - Math.min(1, Math.max(0, e[names.at(`eyeBlink${side}`)]));
    for (const n of ["eyeLookDown", "eyeLookUp", "eyeSquint", "eyeWide"]) e[names.at(n + side)] *= open;
  }
  const jaw = names.at("jawOpen"), close = names.at("mouthClose");
  e[jaw] = Math.max(e[jaw], TONGUE_OPENS * e[names.at("tongueOut")]);
  e[close] = CLOSES * Math.min(e[close], e[jaw]);
  return e;
}
