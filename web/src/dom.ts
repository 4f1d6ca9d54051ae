/** Makes elements. */

export type Child = Node | string;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Record<string, string | (() => void)> = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes))
    if (typeof v === "function") node.addEventListener(k, v);
    else node.setAttribute(k, v);
  node.append(...children);
  return node;
}
