//! What `--help` says beside the options: examples first, then what one wants to know next.

use crate::defaults;

/// What the command is, in a line.
pub(crate) const ABOUT: &str =
    "Train, evaluate and run neural networks for the Apple Neural Engine, from any machine";

/// Below the commands.
pub(crate) const EXAMPLES: &str = "\
Examples:
  anemone train stories                             learns to write stories
  anemone train cifar                               learns to tell shapes apart
  anemone train stories --data shakespeare.txt      any text, by characters
  anemone generate runs/stories --prompt \"One day\"  let it write
  anemone eval runs/stories                         how good, on unseen text
  anemone train --resume runs/stories               go on after Ctrl-C or a kill
  anemone run model.mlpackage --input in.npz        a Core ML model, anywhere
  anemone inspect model.mlpackage                   what it is made of
  anemone export runs/cifar -o s.mlpackage          a Core ML package of it
  anemone check s.mlpackage --chips m1,m4           would the engine run it
  anemone estimate s.mlpackage --chips m1,m4        how fast, for what energy
  anemone simulate cifar --chips m1,m5              how training drifts there

Each command's --help has more.

Exit codes: 0 done, 1 it did not work out, 2 wrong usage, 130 stopped by Ctrl-C.
ANEMONE_LOG=info (or debug) tells on standard error what happens inside.";

/// Below the options of `anemone train`. Lines are no wider than 80 columns, and paragraphs are one line each,
/// for the terminal to wrap.
pub(crate) fn train() -> String {
    format!(
        "\
Examples:
  anemone train stories                            no download, a few minutes
  anemone train stories --dtype fp16 --out half    half precision, loss scaling
  anemone train stories --data shakespeare.txt     any UTF-8 text, by characters
  anemone train stories --data tok32000/ --preset 15m
                                                   uint16 tokens of TinyStories
  anemone train cifar --data cifar-10-batches-bin  CIFAR-10's binary version
  anemone train mlp --data fashion-mnist           (Fashion-)MNIST, .gz too
  anemone train stories --json | jq '.values.loss // empty'
                                                   one JSON object per event
  anemone train --resume runs/stories              go on where it was stopped
  anemone train --resume runs/stories --steps 900  and further than was planned

What is chosen when nothing is:
{}
  Warm-up takes at most a tenth of a run. All use adamw, --eval-every {}, --eval-batches {} and --save-every {}.

Ctrl-C saves and leaves (exit code 130); a second one leaves at once. A run that was stopped, or killed, and resumed ends with the same weights, bit for bit, as one that never stopped. Beyond its planned end a run keeps the last learning rate of its schedule.

A run's folder holds its states (states.safetensors, with PyTorch's names), config.json, the tokenizer, a log (log.jsonl) and a picture of the losses (curve.svg).",
        defaults::table(),
        defaults::TALES_RUN.eval_every,
        defaults::TALES_RUN.eval_batches,
        defaults::TALES_RUN.save_every,
    )
}

/// Below the options of `anemone simulate`.
pub(crate) const SIMULATE_EXAMPLES: &str = "\
Examples:
  anemone simulate cifar --chips m1,m5 --steps 100
  anemone simulate stories --preset stories260k --steps 50
  anemone train stories --dtype fp16 --device simulated:m4
                                            one run, with checkpoints

The same run is made in fp32, in IEEE's fp16, and with the arithmetic of each engine; the table tells how far their losses part, and what the engine's part of a step would take. Estimates and a fitted model of the arithmetic: nothing runs on a device.";

/// Below the options of `anemone generate`.
pub(crate) const GENERATE_EXAMPLES: &str = "\
Examples:
  anemone generate runs/stories --prompt \"Once upon a time\"
  anemone generate runs/stories --prompt \"One day\" --temperature 0
  anemone generate runs/stories --seed 7 --top-p 0.95 --tokens 400
  anemone generate stories15M.bin --tokenizer tokenizer.bin --prompt \"Lily\"
  anemone generate runs/stories --prompt \"One day\" --json | jq .text

The same prompt, options and --seed write the same text; another --seed writes another. Without a prompt, models with a token for the beginning of a text begin one; character models need at least one character.";

/// Below the options of `anemone eval`.
pub(crate) const EVAL_EXAMPLES: &str = "\
Examples:
  anemone eval runs/stories                      all held-out stories
  anemone eval runs/cifar                        loss and accuracy, of images
  anemone eval runs/stories --data other.txt     on a text of your own
  anemone eval runs/stories --json | jq .loss";

/// Below the options of `anemone inspect`.
pub(crate) const INSPECT_EXAMPLES: &str = "\
Examples:
  anemone inspect model.mlpackage              features, ops, largest weights
  anemone inspect model.mlpackage --mil        its program as MIL text
  anemone inspect model.mlmodelc --json | jq .weights";

/// Below the options of `anemone verify`.
pub(crate) const VERIFY_EXAMPLES: &str = "\
Examples:
  anemone verify model.mlpackage               every fault; exit code 1 if any
  anemone verify kernel.mil --json | jq .faults";

/// Below the options of `anemone check`.
pub(crate) const CHECK_EXAMPLES: &str = "\
Examples:
  anemone check stories110m                    on every chip with such programs
  anemone check model.mlpackage --chips m1,m4  exit code 1 if one refuses
  anemone check runs/cifar --notes             as it would be exported
  anemone check runs/cifar --numerics --chips m1,m5
                                               the engine's error, by operation
  anemone check kernel.mil --chips h13g --json | jq '.chips[].report.findings'

Predicted from published facts: nothing is compiled or run on a device. A model that is refused may still run by parts: Core ML gives what the engine refuses to the GPU or CPU.";

/// Below the options of `anemone estimate`.
pub(crate) const ESTIMATE_EXAMPLES: &str = "\
Examples:
  anemone estimate stories110m                 on every chip with such programs
  anemone estimate model.mlpackage --chips m1,m4 --host-copy
  anemone estimate runs/cifar --json | jq '.chips[].plan.latency_ms.mid'

What one program cannot hold is split, and the split is in the figures. Estimated from published timings; how well, says docs/cost-model.md.";

/// Below the options of `anemone profile`.
pub(crate) const PROFILE_EXAMPLES: &str = "\
Examples:
  anemone profile stories110m --chip m4        what takes longest
  anemone profile model.mlpackage --chip m5pro --html profile.html
  anemone profile kernel.mil --trace trace.json    for ui.perfetto.dev";

/// Below the options of `anemone chips`.
pub(crate) const CHIPS_EXAMPLES: &str = "\
Examples:
  anemone chips
  anemone chips m4 h17s                        all, with sources and conflicts
  anemone chips m1max --json | jq .limits";

/// Below the options of `anemone diff`.
pub(crate) const DIFF_EXAMPLES: &str = "\
Examples:
  anemone diff before.mlpackage after.mlpackage
                                               exit code 1 if they differ
  anemone diff a.mlpackage b.mil --json | jq .weights";

/// Below the options of `anemone convert`.
pub(crate) const CONVERT_EXAMPLES: &str = "\
Examples:
  anemone convert model.mlpackage model.mil    text; beside it weights, and what
                                               text cannot say of the model
  anemone convert model.mil model.mlpackage    and back
  anemone convert model.mlmodelc model.mlpackage --force
  anemone convert model.mil m1.mil --for m1    rewritten for that engine
  anemone convert a.mlpackage b.mlpackage --shape x=1,3,224,224 --dtype fp16";

/// Below the options of `anemone export`.
pub(crate) const EXPORT_EXAMPLES: &str = "\
Examples:
  anemone export runs/cifar -o shapes.mlpackage --image --classes
                                               picture in, label out
  anemone export runs/stories -o stories.mlpackage
                                               tokens in, scores out, fp16
  anemone export runs/stories -o stories.mlpackage --lengths 32,64,128
  anemone export runs/stories -o writer.mlpackage --stateful
                                               a token a call, cache in states
  anemone export stories15M.bin -o stories15m.mlpackage --dtype fp32
                                               a llama2.c checkpoint
  anemone export runs/mlp -o learner.mlpackage --trainable
                                               the whole training step

--trainable keeps every weight, moment and counter in a state. States begin at zeros; as long as the state `iteration` is 0 \
the checkpoint's values count instead, so the first step goes on where the run stopped. Core ML's own converter accepts fp16 \
states only, and these are fp32 and int32: with --arrays they go out as NAME_out and come in again as NAME instead (zeros \
at first), which every Core ML takes.";

/// Below the options of `anemone run`.
pub(crate) const RUN_EXAMPLES: &str = "\
Examples:
  anemone run model.mlpackage --input in.npz   a summary of every output
  anemone run model.mlpackage --input in.npz --output out.npz
                                               every output, by name
  anemone run classifier.mlpackage --input cat.png
                                               an image, for an image input
  anemone run model.mlpackage --input ids=ids.npy,mask=mask.npy
                                               one file for each input
  anemone run decoder.mlpackage --input 0.npz --input 1.npz
                                               in order; states carry over
  anemone run model.mlpackage --function prefill --input in.npz

Inputs are matched by name; an .npy or an image needs no name where the model has one input. Integers and floats are \
converted where nothing is lost but precision. Flexible shapes are bound to those of the arrays.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::{CommandFactory, Parser};

    const ALL: &[&str] = &[
        EXAMPLES,
        SIMULATE_EXAMPLES,
        GENERATE_EXAMPLES,
        EVAL_EXAMPLES,
        INSPECT_EXAMPLES,
        VERIFY_EXAMPLES,
        CHECK_EXAMPLES,
        ESTIMATE_EXAMPLES,
        PROFILE_EXAMPLES,
        CHIPS_EXAMPLES,
        DIFF_EXAMPLES,
        CONVERT_EXAMPLES,
        EXPORT_EXAMPLES,
        RUN_EXAMPLES,
    ];

    /// The words of a command line with double quotes, up to a pipe or to the explanation after two spaces.
    fn words(example: &str) -> Vec<String> {
        let command = example.split("  ").next().unwrap_or_default().split(" | ").next().unwrap_or_default();
        let quoted = |(at, part): (usize, &str)| match at % 2 {
            0 => part.split_whitespace().map(str::to_string).collect(),
            _ => vec![part.to_string()],
        };
        command.split('"').enumerate().flat_map(quoted).collect()
    }

    #[test]
    fn every_example_is_a_command() {
        let train = super::train();
        let mut count = 0;
        for text in ALL.iter().copied().chain([train.as_str()]) {
            for example in text.lines().filter_map(|line| line.strip_prefix("  anemone ")) {
                let words = words(&format!("anemone {example}"));
                assert!(Cli::try_parse_from(&words).is_ok(), "{words:?}");
                count += 1;
            }
        }
        assert!(count >= 20, "{count} examples");
    }

    #[test]
    fn help_fits_a_terminal() {
        let train = super::train();
        for line in ALL.iter().copied().chain([train.as_str()]).flat_map(str::lines) {
            // Paragraphs are wrapped by clap; what is indented is laid out by hand.
            assert!(
                !line.starts_with("  ") || line.starts_with("  Warm-up") || line.chars().count() <= 80,
                "{line}"
            );
        }
        Cli::command().debug_assert();
    }
}
