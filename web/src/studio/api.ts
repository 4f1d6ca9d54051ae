/** What the page asks the studio's server for, and the state that the server sends whenever it changes. */

export interface Finding { subject: string; severity: "good" | "note" | "warning"; text: string }
export interface Job {
  id: string;
  kind: string;
  state: "queued" | "running" | "done" | "failed" | "cancelled";
  fraction: number;
  step: string;
  error: string;
  head: string | null;
  spec: { uploads?: string[]; head?: string; name?: string; method?: string; format?: string; label?: string };
  result: { findings?: Finding[]; head?: string; export?: string; notes?: string[] };
  images: string[];
}
export interface Facts {
  facts: { method?: string; warnings?: string[]; weights?: Record<string, string>[]; consent?: string; synthetic_media?: string; created_by?: string; photos?: number };
  kind: string;
  viewable: boolean;
  splats: boolean;
}
export interface Head {
  id: string;
  name: string;
  created: string;
  facts: Facts;
  photos: string[];
  exports: { id: string; label: string; created: string }[];
}
export interface Method { name: string; description: string; available: boolean; enhances: boolean; representations: string[] }
export interface State {
  version: string;
  methods: Method[];
  presets: string[];
  formats: string[];
  limits: { photos: number; bytes: Record<string, number> };
  uploads: { id: string; use: string; name: string }[];
  heads: Head[];
  jobs: Job[];
}

async function ask<T>(method: string, path: string, body?: BodyInit, headers: Record<string, string> = {}): Promise<T> {
  const answer = await fetch(path, { method, body, headers, credentials: "same-origin" });
  const text = await answer.text();
  if (answer.ok) return JSON.parse(text || "{}") as T;
  let words = text;
  try {
    words = (JSON.parse(text) as { error: string }).error;
  } catch {
    // plain text
  }
  throw new Error(words || `the studio answered ${answer.status}`);
}

export const job = (spec: Record<string, unknown>) => ask<{ id: string }>("POST", "/api/jobs", JSON.stringify(spec));
export const cancel = (id: string) => ask("POST", `/api/jobs/${id}/cancel`, "{}");
export const rename = (id: string, name: string) => ask("PATCH", `/api/heads/${id}`, JSON.stringify({ name }));
export const deleteHead = (id: string) => ask("DELETE", `/api/heads/${id}`);
export const deleteUpload = (id: string) => ask("DELETE", `/api/uploads/${id}`);
export const demo = () => ask<{ id: string }>("POST", "/api/uploads/demo", "{}");
export const upload = (file: Blob, name: string, use: string) =>
  ask<{ id: string }>("POST", `/api/uploads?use=${use}`, file, {
    "x-name": encodeURIComponent(name), "content-type": "application/octet-stream",
  });

/** Calls back with the state now and after every change; `lost` while the server is away. */
export function follow(changed: (state: State) => void, lost: (away: boolean) => void): void {
  const source = new EventSource("/api/events");
  source.addEventListener("open", () => lost(false));
  source.addEventListener("message", (e) => changed(JSON.parse(e.data as string) as State));
  source.addEventListener("error", () => lost(true));
}
