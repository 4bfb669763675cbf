"""Trains the embedded two-tower model and writes it: image.onnx, text.onnx, tokenizer.json, vision.toml, reference.json.

    cargo run --release -p pavlov-vision --example dataset -- DATA 60000 1
    cargo run --release -p pavlov-vision --example dataset -- HELD 4000 2
    python3 -m venv venv && venv/bin/pip install torch numpy onnx onnxruntime tokenizers
    venv/bin/python assets/vision/embedded/train.py DATA HELD assets/vision/embedded [MINUTES]

Image tower: a small convolutional net over 64x64 pixels. Text tower: embeddings of byte-pair tokens, one convolution over the
words, mean. Both end in unit vectors of 64 numbers. Loss: the symmetric contrastive loss of CLIP, where every caption that fits a
picture counts as its pair (the data set says which).
"""

import json
import math
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SIZE, WIDTH, CONTEXT, VOCAB, EMBED = 64, 64, 24, 900, 96
MEAN, STD = [0.55, 0.56, 0.58], [0.24, 0.23, 0.24]


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.a = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.b = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.na, self.nb = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x):
        return F.relu(x + self.nb(self.b(F.relu(self.na(self.a(x))))))


def down(a, b):
    return nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())


class Image(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            down(3, 24), down(24, 48), Block(48), down(48, 96), Block(96), down(96, 128), Block(128)
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(128 * 16, 192), nn.ReLU(), nn.Dropout(0.1), nn.Linear(192, WIDTH))

    def forward(self, pixel_values):
        return F.normalize(self.head(self.body(pixel_values)), dim=-1)


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(VOCAB, EMBED)
        self.order = nn.Conv1d(EMBED, EMBED, 3, padding=1)
        self.head = nn.Sequential(nn.Linear(EMBED, 192), nn.ReLU(), nn.Linear(192, WIDTH))

    def forward(self, input_ids):
        there = (input_ids != 0).to(torch.float32).unsqueeze(-1)
        x = self.words(input_ids) * there
        x = x + F.relu(self.order(x.transpose(1, 2)).transpose(1, 2)) * there
        x = x.sum(1) / there.sum(1).clamp(min=1.0)
        return F.normalize(self.head(x), dim=-1)


def read(folder):
    lines = [json.loads(line) for line in open(folder + "/captions.jsonl")]
    images = np.memmap(folder + "/images.rgb", dtype=np.uint8, mode="r").reshape(len(lines), SIZE, SIZE, 3)
    return images, lines


def tokenizer(captions):
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=["<pad>", "<unk>", "<end>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    t.train_from_iterator(captions, trainer)
    t.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 2)])
    return t


def encode(t, texts):
    out = np.zeros((len(texts), CONTEXT), dtype=np.int64)
    for row, e in zip(out, t.encode_batch(texts)):
        ids = e.ids[:CONTEXT]
        row[: len(ids)] = ids
    return torch.from_numpy(out)


def pixels(images, index, augment):
    x = torch.from_numpy(images[index]).permute(0, 3, 1, 2).to(torch.float32) / 255.0
    if augment:
        n = len(x)
        x = x * (1.0 + 0.25 * (torch.rand(n, 1, 1, 1) - 0.5)) + 0.1 * (torch.rand(n, 3, 1, 1) - 0.5)
        x = x + 0.02 * torch.randn_like(x)
        # A mirror image is of a mirrored robot: no caption says left or right.
        flip = torch.rand(n) < 0.5
        x[flip] = x[flip].flip(3)
        dy, dx = np.random.randint(-4, 5, 2)
        x = torch.roll(F.pad(x, (4, 4, 4, 4), mode="replicate"), (int(dy), int(dx)), (2, 3))[:, :, 4:-4, 4:-4]
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return (x - mean) / std


def main():
    data, held, out = sys.argv[1:4]
    minutes = float(sys.argv[4]) if len(sys.argv) > 4 else 14.0
    torch.manual_seed(1)
    np.random.seed(1)
    torch.set_num_threads(2)
    images, lines = read(data)
    t = tokenizer([l["caption"] for l in lines])
    tokens = encode(t, [l["caption"] for l in lines])
    robots = sorted({l["robot"] for l in lines})
    kinds = sorted({l["fits"][1] for l in lines if l["fits"][1]} | {l["posture"] for l in lines})
    # What a picture is, and what a caption fits; -1: anything. What is no posture is known by its vague words.
    is_robot = torch.tensor([robots.index(l["robot"]) for l in lines])
    fit_robot = torch.tensor([robots.index(l["fits"][0]) if l["fits"][0] else -1 for l in lines])
    fit_kind = torch.tensor([kinds.index(l["fits"][1]) if l["fits"][1] else -1 for l in lines])
    by_posture = {}
    for l in lines:
        if l["fits"][1] and l["posture"] != "none":
            by_posture[(l["robot"], l["posture"])] = l["fits"][1]

    def kind(l):
        said = l["fits"][1] or by_posture.get((l["robot"], l["posture"]), "")
        return kinds.index(said) if said else kinds.index(l["posture"])

    is_kind = torch.tensor([kind(l) for l in lines])
    image, text = Image(), Text()
    scale = nn.Parameter(torch.tensor(math.log(14.0)))
    params = [*image.parameters(), *text.parameters()]
    opt = torch.optim.AdamW([{"params": params, "weight_decay": 0.02}, {"params": [scale], "weight_decay": 0.0}], lr=2e-3)
    batch, start, step, epoch = 256, time.time(), 0, 0
    while True:
        order = np.random.permutation(len(lines))
        for at in range(0, len(order) - batch + 1, batch):
            done = (time.time() - start) / (60.0 * minutes)
            if done >= 1.0:
                break
            lr = 2e-3 * min(1.0, (step + 1) / 200) * 0.5 * (1.0 + math.cos(math.pi * done))
            for g in opt.param_groups:
                g["lr"] = lr
            index = np.sort(order[at : at + batch])
            a = image(pixels(images, index, True))
            b = text(tokens[index])
            logits = scale.exp() * a @ b.T
            ii, jj = is_robot[index], fit_robot[index]
            k, fk = is_kind[index], fit_kind[index]
            match = ((jj[None, :] < 0) | (jj[None, :] == ii[:, None])) & ((fk[None, :] < 0) | (fk[None, :] == k[:, None]))
            match = match.float() * torch.where(fk < 0, 0.15, 1.0)[None, :] * torch.where(jj < 0, 0.4, 1.0)[None, :]
            rows = match / match.sum(1, keepdim=True).clamp(min=1e-6)
            columns = match / match.sum(0, keepdim=True).clamp(min=1e-6)
            loss = -(rows * logits.log_softmax(1)).sum(1).mean() - (columns * logits.log_softmax(0)).sum(0).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            scale.data.clamp_(max=math.log(60.0))
            step += 1
            if step % 100 == 0:
                print(f"{done:.2f} step {step} epoch {epoch} loss {loss.item():.3f} scale {scale.exp().item():.1f}", flush=True)
        epoch += 1
        if done >= 1.0:
            break
    image.eval(), text.eval()
    judge(image, text, t, held, lines)
    write(image, text, t, out, float(scale.exp()), images)


def judge(image, text, t, held, lines):
    """Share of held-out pictures of each posture that score its own plain words highest among those of the robot."""
    images, truth = read(held)
    own = {}
    for l in lines:
        if l["fits"][0] and l["fits"][1] and l["posture"] != "none":
            own.setdefault(l["robot"], {})[l["posture"]] = l["fits"][1]
    nouns = {"Humanoid": "humanoid robot", "Ant": "four-legged ant robot", "Go1": "quadruped robot", "Cheetah": "half cheetah robot",
             "Hopper": "one-legged hopper", "Walker": "two-legged walker", "Cartpole": "cart with a pole"}
    with torch.no_grad():
        for robot, postures in own.items():
            names = sorted(postures)
            b = text(encode(t, [f"a {nouns[robot]} {postures[n]}" for n in names]))
            index = [i for i, l in enumerate(truth) if l["robot"] == robot and l["posture"] in names]
            a = torch.cat([image(pixels(images, index[i : i + 256], False)) for i in range(0, len(index), 256)])
            best = (a @ b.T).argmax(1)
            for k, n in enumerate(names):
                of = [j for j, i in enumerate(index) if truth[i]["posture"] == n]
                right = sum(int(best[j] == k) for j in of)
                print(f"{robot:9} {n:11} {right:4} of {len(of):4}  {right / max(len(of), 1):.3f}")


def write(image, text, t, out, scale, images):
    t.save(out + "/tokenizer.json")
    n = {0: "batch"}
    args = dict(opset_version=17, dynamo=False)
    torch.onnx.export(image, (torch.zeros(1, 3, SIZE, SIZE),), out + "/image.onnx", input_names=["pixel_values"],
                      output_names=["image_embeds"], dynamic_axes={"pixel_values": n, "image_embeds": n}, **args)
    torch.onnx.export(text, (torch.ones(1, CONTEXT, dtype=torch.int64),), out + "/text.onnx", input_names=["input_ids"],
                      output_names=["text_embeds"], dynamic_axes={"input_ids": n, "text_embeds": n}, **args)
    with open(out + "/vision.toml", "w") as f:
        f.write(f"""# The model that comes with the program. It knows the shipped robots as pavlov-render draws them, in a few dozen postures, and
# nothing else: it was trained on such pictures and generated captions by train.py beside this file.
name = "embedded"
about = "small two-tower model of the shipped robots' postures; not a general vision-language model"

[image]
file = "image.onnx"
input = "pixel_values"
output = "image_embeds"
size = [{SIZE}, {SIZE}]
mean = {MEAN}
std = {STD}
fit = "stretch"

[text]
file = "text.onnx"
input = "input_ids"
output = "text_embeds"
context = {CONTEXT}
pad = 0
tokenizer = "tokenizer.json"

[embedding]
width = {WIDTH}
logit_scale = {scale:.4f}
""")
    # What onnxruntime makes of a few pictures and sentences, for the test of agreement.
    import onnxruntime

    a = onnxruntime.InferenceSession(out + "/image.onnx", providers=["CPUExecutionProvider"])
    b = onnxruntime.InferenceSession(out + "/text.onnx", providers=["CPUExecutionProvider"])
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    made = np.stack([np.stack([(x * (3 + k) + y * 2 * c + 17 * k) % 256 for c in range(3)], -1) for k in range(3)]).astype(np.uint8)
    v = (made.astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    texts = ["a humanoid robot kneeling", "an ant upside down", "a cart with a pole"]
    ids = encode(t, texts).numpy()
    json.dump({
        "pictures": "pixel (x, y, channel c) of picture k: (x (3 + k) + 2 c y + 17 k) mod 256",
        "image_embeds": a.run(None, {"pixel_values": v.transpose(0, 3, 1, 2).copy()})[0].tolist(),
        "texts": texts, "input_ids": ids.tolist(),
        "text_embeds": b.run(None, {"input_ids": ids})[0].tolist(),
        "onnxruntime": onnxruntime.__version__,
    }, open(out + "/reference.json", "w"))


if __name__ == "__main__":
    main()
