"""The main job, step by step, without PyTorch: look, plan, convert, rewrite, compare.

make demo, or: python examples/digits/demo.py (needs jax, flax and scikit-learn)
"""

import importlib.util
import shlex
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = Path("demo-output")
TOLERANCE = 1e-4


def step(number: int, title: str, command: str | None = None) -> None:
    """Announce a step and, where it is a command, type it as a person would."""
    print(f"\n\033[1m{number}. {title}\033[0m", flush=True)
    if command is not None:
        print(f"$ {command}", flush=True)
        arguments = [sys.executable, "-m", "ml_switcheroo", *shlex.split(command)[1:]]
        subprocess.run(arguments, check=True)


def compare() -> bool:
    """Run the port with the converted weights; compare with what PyTorch gave."""
    import jax
    import numpy as np
    from data import digits
    from flax import nnx
    from port import Net

    import ml_switcheroo as ms

    model = Net(rngs=nnx.Rngs(0))
    missing, unexpected = ms.load_into(model, OUT / "weights.nnx.safetensors")
    model.eval()
    _, images, _, labels = digits()
    logits = np.asarray(jax.jit(lambda x: model(x))(images.transpose(0, 2, 3, 1)))
    expected = np.load(HERE / "expected.npz")
    difference = float(np.abs(logits - expected["logits"]).max())
    same = bool((logits.argmax(1) == expected["logits"].argmax(1)).all())
    accuracy = float((logits.argmax(1) == labels).mean())
    print(f"leaves missing: {len(missing)}, unexpected: {len(unexpected)}")
    below = difference < TOLERANCE
    print(f"largest difference of the logits: {difference:.2e} (below {TOLERANCE:.0e}: {below})")
    print(f"predictions on {len(images)} test images identical: {same}")
    print(f"test accuracy: {accuracy:.4f} here, {float(expected['accuracy']):.4f} in PyTorch")
    return below and same and accuracy == float(expected["accuracy"])


def main() -> int:
    start = time.perf_counter()
    OUT.mkdir(exist_ok=True)
    weights = (HERE / "weights.pt").relative_to(Path.cwd())
    model = f"{weights.parent}/model.py:Net"
    converted = OUT / "weights.nnx.safetensors"
    torch = "is" if importlib.util.find_spec("torch") else "is not"
    print(f"PyTorch {torch} installed here. The checkpoint was trained with it: {weights.parent}/train.py")
    step(1, "What is in the checkpoint?", f"ml-switcheroo inspect {weights}")
    step(
        2,
        "What will become of it, and why?",
        f"ml-switcheroo plan {weights} --to nnx --layers {model} --full",
    )
    step(3, "Convert it.", f"ml-switcheroo convert {weights} {converted} --to nnx --layers {model}")
    script, known = weights.parent / "infer.py", f"--checkpoint {weights} --layers {model}"
    step(4, "Rewrite the script that loads it.", f"ml-switcheroo rewrite {script} --to nnx --diff {known}")
    step(5, f"Run the hand-written NNX port ({weights.parent}/port.py) with the converted weights.")
    if not compare():
        print("The port does not agree with PyTorch.", file=sys.stderr)
        return 1
    print(f"\nDone in {time.perf_counter() - start:.0f} s. What to try next:")
    print(
        f"  ml-switcheroo plan {weights} --to nnx         (without the source: see what it refuses to guess)"
    )
    print(f"  ml-switcheroo plan {weights} --to linen --layers {model}")
    print(f"  ml-switcheroo inspect {converted}")
    print("  ml-switcheroo plan YOUR_CHECKPOINT.pt --to nnx --layers your_model.py:YourModel")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main())
