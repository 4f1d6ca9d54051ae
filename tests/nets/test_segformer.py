"""SegFormer's blocks: tokens and images, attention with reduced keys, published parameter names."""

from __future__ import annotations

import torch

from headcast.nets.segformer import Attention, PatchEmbed, SegformerBlock, image_to_tokens, tokens_to_image


def test_tokens_and_images_are_inverse() -> None:
    image = torch.randn(2, 5, 3, 4)
    tokens = image_to_tokens(image)
    assert torch.equal(tokens[1, 4 * 1 + 2], image[1, :, 1, 2])
    assert torch.equal(tokens_to_image(tokens, 4), image)


def test_patches_quarter_the_number_of_tokens_and_are_normalised() -> None:
    torch.manual_seed(0)
    tokens = PatchEmbed(3, 16)(torch.randn(2, 3, 8, 12))
    assert tokens.shape == (2, 24, 16)
    assert tokens.mean(-1).abs().max() < 1e-5
    assert torch.allclose(tokens.var(-1, unbiased=False), torch.ones(2, 24), atol=1e-3)


def test_attention_is_the_softmax_of_scaled_products() -> None:
    torch.manual_seed(1)
    block, x, other = Attention(8, 2).double(), torch.randn(1, 5, 8).double(), torch.randn(1, 6, 8).double()
    q, (k, v) = block.q(x).unflatten(-1, (2, 4)), block.kv(other).unflatten(-1, (2, 2, 4)).unbind(2)
    share = torch.einsum("bnhc,bmhc->bhnm", q, k).div(4**0.5).softmax(-1)
    wanted = block.proj(torch.einsum("bhnm,bmhc->bnhc", share, v).flatten(2))
    torch.testing.assert_close(block(x, other, 3), wanted)


def test_reduced_keys_are_a_quarter() -> None:
    torch.manual_seed(2)
    block, x = Attention(8, 2, reduce=True), torch.randn(1, 16, 8)
    assert block.sr is not None and block.norm is not None
    reduced = block.norm(image_to_tokens(block.sr(tokens_to_image(x, 4))))
    assert reduced.shape == (1, 4, 8)
    plain = Attention(8, 2)
    plain.load_state_dict(
        {k: v for k, v in block.state_dict().items() if k.split(".")[0] not in ("sr", "norm")}
    )
    torch.testing.assert_close(block(x, x, 4), plain(x, reduced, 2))


def test_parameters_have_the_published_names() -> None:
    names = {n.rpartition(".")[0] for n in SegformerBlock(8, 2).state_dict()}
    attention = {f"attn.{n}" for n in ("q", "kv", "proj", "sr", "norm")}
    assert names == {"norm1", "norm2", "mlp.fc1", "mlp.dwconv.dwconv", "mlp.fc2"} | attention


def test_a_block_without_its_last_layers_is_the_identity() -> None:
    torch.manual_seed(3)
    block, x = SegformerBlock(8, 2), torch.randn(2, 16, 8)
    for last in (block.attn.proj, block.mlp.fc2):
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.zeros_(last.bias)
    assert torch.equal(block(x, 4), x)
