"""Renders one exported head in Cycles; run by ``tools/uhr_cycles.py`` in a Python that has bpy.

    PYTHON_WITH_BPY tools/blender_uhr.py JOB.json

The job: ``mesh`` (npz: vertices, faces, uv by corner), ``albedo``, ``normal``, ``gloss`` (PNG; red is
specular, green roughness), ``camera`` (K, cam_from_world, size; OpenCV), ``samples`` (the most a pixel gets)
and ``noise`` (at which a pixel gets no more; 0: never), ``threads`` (0: all), ``shots``: each with ``sky``
(npy, equirectangular radiance), ``lamp`` (direction towards it, colour, angle), ``picture`` (where the PNG
goes). Mesh and textures stay loaded from one shot to the next.
Blender is a program of its own here; nothing of it is part of headcast.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bpy
import mathutils
import numpy as np

CV_TO_GL = mathutils.Matrix(((1, 0, 0, 0), (0, -1, 0, 0), (0, 0, -1, 0), (0, 0, 0, 1)))
Y_UP_TO_Z_UP = mathutils.Matrix(((1, 0, 0, 0), (0, 0, -1, 0), (0, 1, 0, 0), (0, 0, 0, 1)))

LEAST = 4
"""Samples that every pixel gets."""
BOUNCES = 2
"""From skin to skin: a bald head alone has little to light itself by."""


def mesh(path: str) -> bpy.types.Object:
    """The head, smooth."""
    with np.load(path) as data:
        v, f, uv = data["vertices"], data["faces"], data["uv"]
    made = bpy.data.meshes.new("head")
    made.from_pydata(v.tolist(), [], f.tolist())
    layer = made.uv_layers.new(name="uv")
    flat = np.stack([uv[..., 0], 1 - uv[..., 1]], -1).reshape(-1).astype(np.float32)
    layer.data.foreach_set("uv", flat)
    made.polygons.foreach_set("use_smooth", [True] * len(made.polygons))
    thing = bpy.data.objects.new("head", made)
    thing.matrix_world = Y_UP_TO_Z_UP
    bpy.context.scene.collection.objects.link(thing)
    return thing


def skin(job: dict) -> bpy.types.Material:
    """Principled BSDF with subsurface scattering."""
    material = bpy.data.materials.new("skin")
    material.use_nodes = True
    tree = material.node_tree
    principled = tree.nodes["Principled BSDF"]

    def picture(name: str, colour: bool) -> bpy.types.Node:
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = bpy.data.images.load(job[name])
        node.image.colorspace_settings.name = "sRGB" if colour else "Non-Color"
        return node

    tree.links.new(picture("albedo", True).outputs["Color"], principled.inputs["Base Color"])
    normal = tree.nodes.new("ShaderNodeNormalMap")
    tree.links.new(picture("normal", False).outputs["Color"], normal.inputs["Color"])
    tree.links.new(normal.outputs["Normal"], principled.inputs["Normal"])
    split = tree.nodes.new("ShaderNodeSeparateColor")
    tree.links.new(picture("gloss", False).outputs["Color"], split.inputs["Color"])
    half = tree.nodes.new("ShaderNodeMath")
    half.operation = "MULTIPLY"
    half.inputs[1].default_value = 0.5  # level 0.5 is a reflectance of 4 %
    tree.links.new(split.outputs["Red"], half.inputs[0])
    tree.links.new(half.outputs["Value"], principled.inputs["Specular IOR Level"])
    tree.links.new(split.outputs["Green"], principled.inputs["Roughness"])
    principled.inputs["Subsurface Weight"].default_value = 0.6
    principled.inputs["Subsurface Radius"].default_value = (1.0, 0.35, 0.2)
    principled.inputs["Subsurface Scale"].default_value = 0.0025
    return material


def light(shot: dict) -> None:
    """An environment picture and a soft sun, instead of those before."""
    for old in [x for x in bpy.data.objects if x.type == "LIGHT"]:
        bpy.data.objects.remove(old)
    sky = np.load(shot["sky"]).astype(np.float32)
    h, w = sky.shape[:2]
    image = bpy.data.images.new("sky", w, h, float_buffer=True)
    image.colorspace_settings.name = "Linear Rec.709"
    image.pixels.foreach_set(np.concatenate([sky[::-1], np.ones((h, w, 1), np.float32)], -1).reshape(-1))
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    node = world.node_tree.nodes.new("ShaderNodeTexEnvironment")
    node.image = image
    world.node_tree.links.new(node.outputs["Color"], world.node_tree.nodes["Background"].inputs["Color"])
    bpy.context.scene.world = world
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.color, sun.angle = (shot["lamp"][k] for k in ("energy", "colour", "angle"))
    thing = bpy.data.objects.new("sun", sun)
    towards = Y_UP_TO_Z_UP.to_3x3() @ mathutils.Vector(shot["lamp"]["direction"])
    thing.rotation_euler = towards.to_track_quat("Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(thing)


def camera(given: dict) -> None:
    """The OpenCV camera of a square picture."""
    K, (width, height) = given["K"], given["size"]
    made = bpy.data.cameras.new("camera")
    thing = bpy.data.objects.new("camera", made)
    thing.matrix_world = Y_UP_TO_Z_UP @ mathutils.Matrix(given["cam_from_world"]).inverted() @ CV_TO_GL
    made.lens = K[0][0] / width * made.sensor_width
    made.shift_x, made.shift_y = (width / 2 - K[0][2]) / width, (K[1][2] - height / 2) / width
    made.clip_start = 0.01
    scene = bpy.context.scene
    scene.collection.objects.link(thing)
    scene.camera = thing
    scene.render.resolution_x, scene.render.resolution_y = width, height


def main() -> None:
    """Builds the scene and draws it in every light."""
    job = json.loads(Path(sys.argv[1]).read_text())
    bpy.ops.wm.read_factory_settings(use_empty=True)
    mesh(job["mesh"]).data.materials.append(skin(job))
    camera(job["camera"])
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.samples, cycles.use_denoising = job["samples"], True
    cycles.use_adaptive_sampling = job["noise"] > 0
    cycles.adaptive_threshold, cycles.adaptive_min_samples = job["noise"], min(LEAST, job["samples"])
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = BOUNCES, BOUNCES, 1
    cycles.transmission_bounces = cycles.transparent_max_bounces = cycles.volume_bounces = 0
    scene.render.use_persistent_data = True
    if job.get("threads"):
        scene.render.threads_mode, scene.render.threads = "FIXED", job["threads"]
    scene.render.film_transparent = True
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    for shot in job["shots"]:
        light(shot)
        scene.render.filepath = shot["picture"]
        bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    main()
