"""Image networks: classifiers of torchvision, a UNet block with attention, a detector that ends in suppression."""

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from . import Architecture, Variant, images, plain, settle


def resnet50(full):
    torch.manual_seed(10)
    if full:
        module, shape = torchvision.models.resnet50(weights=None), (1, 3, 224, 224)
    else:
        module = torchvision.models.ResNet(Narrow, [1, 1, 1, 1], num_classes=40, width_per_group=16)
        shape = (1, 3, 64, 64)
    module = fused(settle(module, 2 if full else 4, *shape[1:]))
    variants = plain() + [Variant("int8", "fp16", 16, "int8_affine"), Variant("sparse", "fp16", 16, "sparse")]
    return Architecture("ResNet-50", module, {"image": images(*shape)}, ["logits"], variants)


class Narrow(torchvision.models.resnet.Bottleneck):
    """A bottleneck that does not widen: two megabytes of weights instead of fourteen."""

    expansion = 1


def fused(module):
    """Batch norms folded into their convolutions, as the converter does: then the package's weights are the module's."""
    for parent in module.modules():
        children = list(parent.named_children())
        for (name, layer), (next_name, follower) in zip(children, children[1:]):
            if isinstance(layer, nn.Conv2d) and isinstance(follower, nn.BatchNorm2d):
                setattr(parent, name, nn.utils.fusion.fuse_conv_bn_eval(layer, follower))
                setattr(parent, next_name, nn.Identity())
        if isinstance(parent, torchvision.models.resnet.Bottleneck):
            for i in (1, 2, 3):
                conv, norm = getattr(parent, f"conv{i}"), getattr(parent, f"bn{i}")
                if isinstance(norm, nn.BatchNorm2d):
                    setattr(parent, f"conv{i}", nn.utils.fusion.fuse_conv_bn_eval(conv, norm))
                    setattr(parent, f"bn{i}", nn.Identity())
    return module


def mobilenet_v3(full):
    torch.manual_seed(11)
    shape = (1, 3, 224, 224) if full else (1, 3, 48, 48)
    if full:
        module = torchvision.models.mobilenet_v3_large(weights=None)
    else:
        from torchvision.models.mobilenetv3 import InvertedResidualConfig as Config
        from torchvision.models.mobilenetv3 import MobileNetV3

        layers = [
            Config(16, 3, 16, 16, True, "RE", 2, 1, 1.0),
            Config(16, 3, 48, 24, False, "RE", 2, 1, 1.0),
            Config(24, 5, 64, 24, True, "HS", 1, 1, 1.0),
            Config(24, 5, 64, 32, True, "HS", 2, 2, 1.0),
        ]
        module = MobileNetV3(layers, last_channel=64, num_classes=40)
    return Architecture("MobileNetV3", settle(module, 4, *shape[1:]), {"image": images(*shape)}, ["logits"], plain())


def efficientnet(full):
    torch.manual_seed(12)
    shape = (1, 3, 224, 224) if full else (1, 3, 48, 48)
    if full:
        module = torchvision.models.efficientnet_b0(weights=None)
    else:
        from torchvision.models.efficientnet import EfficientNet, MBConvConfig

        layers = [
            MBConvConfig(1, 3, 1, 16, 16, 1),
            MBConvConfig(6, 3, 2, 16, 24, 2),
            MBConvConfig(6, 5, 2, 24, 32, 1),
        ]
        module = EfficientNet(layers, dropout=0.2, num_classes=40, last_channel=96)
    module = fused(settle(module, 4, *shape[1:]))
    variants = plain() + [Variant("palette6", "fp16", 16, "palette6")]
    return Architecture("EfficientNet", module, {"image": images(*shape)}, ["logits"], variants)


def vit(full):
    torch.manual_seed(13)
    if full:
        module, shape = torchvision.models.vit_b_16(weights=None), (1, 3, 224, 224)
    else:
        module = torchvision.models.VisionTransformer(
            image_size=32, patch_size=8, num_layers=2, num_heads=4, hidden_dim=64, mlp_dim=128, num_classes=40
        )
        shape = (1, 3, 32, 32)
    nn.init.normal_(module.heads.head.weight, std=0.1)  # torchvision starts it at zero
    variants = plain() + [Variant("int4", "fp16", 18, "int4_blocks")]
    return Architecture("ViT-B/16", module.eval(), {"image": images(*shape)}, ["logits"], variants)


def convnext(full):
    torch.manual_seed(14)
    if full:
        module, shape = torchvision.models.convnext_tiny(weights=None), (1, 3, 224, 224)
    else:
        from torchvision.models.convnext import CNBlockConfig

        module = torchvision.models.ConvNeXt([CNBlockConfig(24, 48, 1), CNBlockConfig(48, 96, 2), CNBlockConfig(96, None, 1)],
                                             num_classes=40)  # fmt: skip
        shape = (1, 3, 64, 64)
    for name, parameter in module.named_parameters():
        if name.endswith("layer_scale"):  # 1e-6 in a new network: its blocks would not count
            nn.init.uniform_(parameter, 0.2, 0.6)
    variants = plain() + [Variant("palette4", "fp16", 18, "palette4_groups")]
    return Architecture("ConvNeXt", module.eval(), {"image": images(*shape)}, ["logits"], variants)


class ResidualBlock(nn.Module):
    """The residual block of a diffusion UNet: group norm, SiLU, convolution, and the time embedding added between."""

    def __init__(self, channels, out, time):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, channels), nn.Conv2d(channels, out, 3, padding=1)
        self.time = nn.Linear(time, out)
        self.norm2, self.conv2 = nn.GroupNorm(8, out), nn.Conv2d(out, out, 3, padding=1)
        self.skip = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x, t):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(t))[:, :, None, None]
        return self.conv2(F.silu(self.norm2(h))) + self.skip(x)


class CrossAttention(nn.Module):
    """Self attention over the pixels, attention to a context, and a gated feed-forward."""

    def __init__(self, channels, context, heads):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, channels)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))
        self.own = nn.ModuleList(nn.Linear(channels, channels, bias=i == 3) for i in range(4))
        self.cross = nn.ModuleList(nn.Linear(context if i in (1, 2) else channels, channels, bias=i == 3) for i in range(4))
        self.up, self.down = nn.Linear(channels, 8 * channels), nn.Linear(4 * channels, channels)

    def attend(self, layers, x, context):
        q, k, v = (layer(y) for layer, y in zip(layers, (x, context, context)))
        q, k, v = (y.reshape(y.shape[0], y.shape[1], self.heads, -1).transpose(1, 2) for y in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v)
        return layers[3](y.transpose(1, 2).reshape(x.shape))

    def forward(self, x, context):
        b, c, h, w = x.shape
        y = self.norm(x).reshape(b, c, h * w).transpose(1, 2)
        z = self.norms[0](y)
        y = y + self.attend(self.own, z, z)
        y = y + self.attend(self.cross, self.norms[1](y), context)
        value, gate = self.up(self.norms[2](y)).chunk(2, dim=-1)
        y = y + self.down(value * F.gelu(gate))
        return x + y.transpose(1, 2).reshape(b, c, h, w)


class UNetBlock(nn.Module):
    """Down, middle, up: the shape of a diffusion UNet, with its skip connection."""

    def __init__(self, channels, context, heads, time):
        super().__init__()
        self.enter = nn.Conv2d(4, channels, 3, padding=1)
        self.embed = nn.Sequential(nn.Linear(time, time), nn.SiLU(), nn.Linear(time, time))
        self.down1, self.attn1 = ResidualBlock(channels, channels, time), CrossAttention(channels, context, heads)
        self.smaller = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.middle, self.attn2 = ResidualBlock(channels, 2 * channels, time), CrossAttention(2 * channels, context, heads)
        self.larger = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.up1 = ResidualBlock(2 * channels, channels, time)
        self.norm, self.leave = nn.GroupNorm(8, channels), nn.Conv2d(channels, 4, 3, padding=1)

    def forward(self, sample, time, context):
        t = self.embed(time)
        x = self.attn1(self.down1(self.enter(sample), t), context)
        y = self.attn2(self.middle(self.smaller(x), t), context)
        y = self.larger(F.interpolate(y, scale_factor=2.0, mode="nearest"))
        return self.leave(F.silu(self.norm(self.up1(torch.cat([x, y], dim=1), t))))


def unet(full):
    torch.manual_seed(15)
    channels, context, heads, size = (320, 768, 8, 64) if full else (32, 48, 4, 8)
    module = UNetBlock(channels, context, heads, 4 * channels).eval()
    inputs = {
        "sample": images(1, 4, size, size),
        "time": images(1, 4 * channels, seed=3),
        "context": images(1, 77 if full else 7, context, seed=4),
    }
    variants = plain(opset_fp16=18) + [Variant("sparse_palette", "fp16", 18, "sparse_palette4")]
    return Architecture("UNet block with attention", module, inputs, ["noise"], variants)


class Detector(nn.Module):
    """A one-stage detector: pyramid features, boxes decoded from anchors, class scores, suppression."""

    def __init__(self, width, size, classes):
        super().__init__()
        self.stem = nn.Sequential(*(
            nn.Sequential(nn.Conv2d(i, o, 3, 2, 1), nn.BatchNorm2d(o), nn.SiLU())
            for i, o in ((3, width), (width, 2 * width), (2 * width, 2 * width))
        ))  # fmt: skip
        self.lower = nn.Sequential(nn.Conv2d(2 * width, 2 * width, 3, 2, 1), nn.BatchNorm2d(2 * width), nn.SiLU())
        self.merge = nn.Conv2d(4 * width, 2 * width, 1)
        self.boxes = nn.ModuleList(nn.Conv2d(2 * width, 4, 1) for _ in range(2))
        self.scores = nn.ModuleList(nn.Conv2d(2 * width, classes, 1) for _ in range(2))
        centres, strides = [], []
        for stride in (8, 16):
            n = size // stride
            y, x = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
            centres.append((torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride)
            strides.append(torch.full((n * n, 1), float(stride)))
        self.register_buffer("centres", torch.cat(centres))
        self.register_buffer("strides", torch.cat(strides))

    def forward(self, image):
        fine = self.stem(image)
        coarse = self.lower(fine)
        fine = self.merge(torch.cat([fine, F.interpolate(coarse, scale_factor=2.0, mode="nearest")], dim=1))
        flat = lambda heads: torch.cat([h(x).flatten(2) for h, x in zip(heads, (fine, coarse))], dim=2)[0].T  # noqa: E731
        offset, size = flat(self.boxes).chunk(2, dim=1)
        centres = self.centres + torch.tanh(offset) * self.strides
        half = self.strides * torch.exp(size.clamp(-2.0, 2.0))
        boxes = torch.cat([centres - half, centres + half], dim=1)
        scores = torch.sigmoid(flat(self.scores))
        best, _ = scores.max(dim=1)
        kept = torchvision.ops.nms(boxes, best, 0.4)
        return boxes[kept], scores[kept]


def detector(full):
    torch.manual_seed(16)
    size, width, classes = (320, 32, 80) if full else (64, 8, 5)
    module = Detector(width, size, classes)
    stem = nn.Sequential(module.stem, module.lower)
    settle(stem, 4, 3, size, size)
    for head in module.scores:  # spread the scores, but not so far that many are 1
        nn.init.normal_(head.weight, std=0.5 if not full else 0.1)
    return Architecture("Detector with NMS", module.eval(), {"image": images(1, 3, size, size)}, ["boxes", "scores"],
                        [Variant("fp32", "fp32", 15), Variant("fp32 iOS 17", "fp32", 17)], unordered=full)  # fmt: skip


ALL = {
    "resnet50": resnet50,
    "mobilenet_v3": mobilenet_v3,
    "efficientnet": efficientnet,
    "vit": vit,
    "convnext": convnext,
    "unet": unet,
    "detector": detector,
}
