"""Opens a GLB in Blender and draws it; run by ``tools/check_glb.py`` in a Python that has bpy.

    PYTHON_WITH_BPY tools/blender_glb.py FILE.glb < pose.json

The pose (JSON on standard input): ``weights`` by shape name; ``camera`` with ``K`` (3x3, pixels),
``cam_from_head`` (4x4, OpenCV) and ``size``; ``picture``, where the PNG goes; ``light``, a strength of white
light from everywhere. The last line printed is one JSON object: what Blender found in the file.
Blender is a program of its own here; nothing of it is part of headcast.
"""

from __future__ import annotations

import json
import sys

import bpy
import mathutils

Y_UP_TO_Z_UP = mathutils.Matrix(((1, 0, 0, 0), (0, 0, -1, 0), (0, 1, 0, 0), (0, 0, 0, 1)))
CV_TO_GL = mathutils.Matrix(((1, 0, 0, 0), (0, -1, 0, 0), (0, 0, -1, 0), (0, 0, 0, 1)))


def found() -> dict:
    """What the importer made of the file."""
    meshes = {}
    for o in bpy.data.objects:
        if o.type == "MESH" and o.vertex_groups:
            keys = o.data.shape_keys
            meshes[o.name] = {
                "materials": [m.name for m in o.data.materials],
                "bones": [g.name for g in o.vertex_groups],
                "shapes": [k.name for k in keys.key_blocks][1:] if keys else [],
            }
    spaces = {n.image.name: [n.image.colorspace_settings.name, role(n)] for n in pictures()}
    bones = {b.name: b.parent.name if b.parent else None for a in bpy.data.armatures for b in a.bones}
    return {"version": bpy.app.version_string, "meshes": meshes, "bones": bones, "colour spaces": spaces}


def pictures() -> list:
    """Nodes that look a picture up, of all materials."""
    nodes = [n for m in bpy.data.materials if m.use_nodes for n in m.node_tree.nodes]
    return [n for n in nodes if n.type == "TEX_IMAGE" and n.image]


def role(node) -> str:  # type: ignore[no-untyped-def]
    """What a picture is used for: numbers where it ends in a normal map, gloss or specular, else colour;
    alpha where nothing else of it is used (which has no colour space)."""
    if {o.name for o in node.outputs if o.links} == {"Alpha"}:
        return "alpha"
    todo, sockets = [node], set()
    while todo:
        for output in todo.pop().outputs:
            for link in output.links:
                sockets.add((link.to_node.type, link.to_socket.name))
                if not link.to_node.type.startswith(("BSDF", "OUTPUT")):
                    todo.append(link.to_node)
    data = ("Specular", "Roughness", "Metallic", "Normal")
    colour = any(name in ("Base Color", "Emission Color") for _, name in sockets)
    numbers = any(kind == "NORMAL_MAP" or name.startswith(data) for kind, name in sockets)
    return "numbers" if numbers and not colour else "colour"


def pose(weights: dict[str, float]) -> None:
    """Sets the shape keys."""
    for o in bpy.data.objects:
        if o.type == "MESH" and o.data.shape_keys:
            for name, w in weights.items():
                if name in o.data.shape_keys.key_blocks:
                    o.data.shape_keys.key_blocks[name].value = w


def draw(given: dict) -> None:
    """One picture by Cycles, colours as they are (no film look), transparent ground."""
    scene = bpy.context.scene
    for o in list(bpy.data.objects):  # the importer's own helper for bones
        if o.type == "MESH" and not o.vertex_groups:
            o.hide_render = True
    K, (width, height) = given["camera"]["K"], given["camera"]["size"]
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    head_from_cam = mathutils.Matrix(given["camera"]["cam_from_head"]).inverted()
    camera.matrix_world = Y_UP_TO_Z_UP @ head_from_cam @ CV_TO_GL
    largest = max(width, height)
    camera.data.sensor_fit = "HORIZONTAL" if width >= height else "VERTICAL"
    camera.data.lens = K[0][0] / largest * camera.data.sensor_width
    if width < height:
        camera.data.sensor_height = camera.data.sensor_width
    camera.data.shift_x = (width / 2 - K[0][2]) / largest
    camera.data.shift_y = (K[1][2] - height / 2) / largest
    camera.data.clip_start = 0.01
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (1, 1, 1, 1)
    world.node_tree.nodes["Background"].inputs[1].default_value = given.get("light", 1.0)
    scene.world, scene.camera = world, camera
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = given.get("samples", 16), False
    scene.cycles.max_bounces = 2
    scene.render.film_transparent = True
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.filepath = given["picture"]
    bpy.ops.render.render(write_still=True)


def main() -> None:
    """Imports, poses, draws."""
    given = json.loads(sys.stdin.read() or "{}")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=sys.argv[1])
    result = found()
    pose(given.get("weights", {}))
    if "picture" in given:
        draw(given)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
