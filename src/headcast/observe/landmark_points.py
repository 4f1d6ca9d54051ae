"""Indices of MediaPipe's 478 face landmarks by part of the face."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from headcast.head.face_oval import OVAL

__all__ = [
    "BROW_LEFT",
    "BROW_RIGHT",
    "EAR_LEFT",
    "EAR_RIGHT",
    "EYE_LEFT",
    "EYE_RIGHT",
    "IRIS_LEFT",
    "IRIS_RIGHT",
    "LIPS_INNER",
    "LIPS_OUTER",
    "MIRROR",
    "OVAL",
    "face_roll",
    "face_width",
    "face_yaw",
    "iris_distance",
    "unmirror",
]

# Pairs that change places in a mirrored image. The 468 points of the mesh follow from the exact symmetry of
# MediaPipe's canonical face; the ten of the irises, and all others again, from an assignment between the
# landmarks of 60 public-domain portraits and of their mirrored copies.
PAIRS = (
    "3:248 7:249 20:250 21:251 22:252 23:253 24:254 25:255 26:256 27:257 28:258 29:259 30:260 31:261 "
    "32:262 33:263 34:264 35:265 36:266 37:267 38:268 39:269 40:270 41:271 42:272 43:273 44:274 45:275 "
    "46:276 47:277 48:278 49:279 50:280 51:281 52:282 53:283 54:284 55:285 56:286 57:287 58:288 59:289 "
    "60:290 61:291 62:292 63:293 64:294 65:295 66:296 67:297 68:298 69:299 70:300 71:301 72:302 73:303 "
    "74:304 75:305 76:306 77:307 78:308 79:309 80:310 81:311 82:312 83:313 84:314 85:315 86:316 87:317 "
    "88:318 89:319 90:320 91:321 92:322 93:323 95:324 96:325 97:326 98:327 99:328 100:329 101:330 102:331 "
    "103:332 104:333 105:334 106:335 107:336 108:337 109:338 110:339 111:340 112:341 113:342 114:343 "
    "115:344 116:345 117:346 118:347 119:348 120:349 121:350 122:351 123:352 124:353 125:354 126:355 "
    "127:356 128:357 129:358 130:359 131:360 132:361 133:362 134:363 135:364 136:365 137:366 138:367 "
    "139:368 140:369 141:370 142:371 143:372 144:373 145:374 146:375 147:376 148:377 149:378 150:379 "
    "153:380 154:381 155:382 156:383 157:384 158:385 159:386 160:387 161:388 162:389 163:390 165:391 "
    "166:392 167:393 169:394 170:395 171:396 172:397 173:398 174:399 176:400 177:401 178:402 179:403 "
    "180:404 181:405 182:406 183:407 184:408 185:409 186:410 187:411 188:412 189:413 190:414 191:415 "
    "192:416 193:417 194:418 196:419 198:420 201:421 202:422 203:423 204:424 205:425 206:426 207:427 "
    "208:428 209:429 210:430 211:431 212:432 213:433 214:434 215:435 216:436 217:437 218:438 219:439 "
    "220:440 221:441 222:442 223:443 224:444 225:445 226:446 227:447 228:448 229:449 230:450 231:451 "
    "232:452 233:453 234:454 235:455 236:456 237:457 238:458 239:459 240:460 241:461 242:462 243:463 "
    "244:464 245:465 246:466 247:467 468:473 469:476 470:475 471:474 472:477 "
)


def mirror_map() -> Int[np.ndarray, "478"]:
    """Return the index of every landmark's mirror partner; those on the middle line are their own."""
    index = np.arange(478)
    for pair in PAIRS.split():
        a, b = map(int, pair.split(":"))
        index[a], index[b] = b, a
    return index


MIRROR = mirror_map()
EAR_RIGHT, EAR_LEFT = 234, 454  # before the subject's ears
IRIS_RIGHT, IRIS_LEFT = 468, 473

# Closed outlines. Left and right are the subject's.
EYE_RIGHT = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
EYE_LEFT = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
BROW_RIGHT = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
BROW_LEFT = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)


def unmirror(points: Float[np.ndarray, "478 k"], width: float) -> Float[np.ndarray, "478 k"]:
    """Convert landmarks of the mirrored image of a given width to landmarks of the image itself."""
    out = points[MIRROR].copy()
    out[:, 0] = width - out[:, 0]
    return out


def iris_distance(points: Float[np.ndarray, "478 k"]) -> float:
    """Return the distance of the iris centres, pixels."""
    return float(np.linalg.norm(points[IRIS_LEFT, :2] - points[IRIS_RIGHT, :2]))


def face_roll(points: Float[np.ndarray, "478 k"]) -> float:
    """Return degrees by which the face is turned clockwise in the image; 0 upright, 180 upside down."""
    x, y = (points[IRIS_LEFT] - points[IRIS_RIGHT])[:2]
    return float(np.degrees(np.arctan2(y, x)))


def face_yaw(points: Float[np.ndarray, "478 3"]) -> float:
    """Return degrees by which the face turns to the subject's left, from landmarks with depth.

    Every pair of mirrored landmarks lies along the head's left-right axis, whatever the shape of the face;
    the sum of all of them gives the axis.
    """
    axis = pair_axis(points)
    return float(np.degrees(np.arctan2(axis[2], np.hypot(axis[0], axis[1]))))


def pair_axis(points: Float[np.ndarray, "478 k"]) -> Float[np.ndarray, "k"]:
    """Sum the vectors from every right landmark to its left partner."""
    right = np.flatnonzero(np.arange(478) < MIRROR)
    away = points[MIRROR[right]] - points[right]
    sign = np.sign(away @ (points[EAR_LEFT] - points[EAR_RIGHT]))
    return (away * sign[:, None]).sum(0)


def face_width(points: Float[np.ndarray, "478 k"], yaw: float) -> float:
    """Return the pixels between the ears, as if the face were viewed from the front."""
    projected = float(np.linalg.norm(points[EAR_LEFT, :2] - points[EAR_RIGHT, :2]))
    return projected / max(float(np.cos(np.radians(yaw))), 0.4)
