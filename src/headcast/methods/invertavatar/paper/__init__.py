"""The paper's own networks and their training.

``config``, ``generator`` (Sec. 3.2, A.1) with ``conditions`` (Fig. 11), ``encoders`` and ``inversion`` (Sec.
3.3, 3.4 and A.3), ``losses`` (Eq. 2, 3), ``data`` (synthetic heads in place of FFHQ and VFHQ), and the stages
of A.1 and A.2 in ``train``.
"""
