//! From flags to a plan: everything that can be refused is refused here, before any data is read or generated.

use crate::args::{AugmentName, Dtype, FreshArgs, OptimizerName, ScheduleName, Task, TrainArgs};
use crate::config::{DataSource, ModelConfig};
use crate::defaults::{self, Defaults};
use crate::error::CliError;
use crate::source;
use anemone::nn::models::{CifarCnn, Llama, Mlp};
use anemone::nn::optim::{Adam, AdamW, Optimizer, SGD, Schedule};
use anemone::nn::train::{LossScaling, Precision, StepOptions, TrainOptions};
use std::fs;
use std::path::{Path, PathBuf};

/// A new run, as far as it is known before its data is read.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What it is trained on.
    pub(crate) data: DataSource,
    /// The model; sizes that the data decides are preliminary.
    pub(crate) model: ModelConfig,
    /// Tokens to learn from generated stories.
    pub(crate) vocab: usize,
    /// Tokenizer file to use.
    pub(crate) tokenizer: Option<PathBuf>,
    /// How it is trained.
    pub(crate) options: TrainOptions,
}

impl Plan {
    /// Plans a new run of `task`.
    pub(crate) fn new(task: Task, args: &TrainArgs) -> Result<Plan, CliError> {
        let fresh = &args.fresh;
        check_task_flags(task, fresh)?;
        let data = data_source(task, fresh)?;
        check_data_flags(&data, fresh)?;
        let row = defaults::defaults(task, &data);
        let model = model(task, fresh, &row)?;
        model.check().map_err(|message| {
            CliError::usage(message, "other sizes with --dim, --layers, --heads, --kv-heads, --width")
        })?;
        let options = options(args, &row)?;
        let vocab = fresh.vocab.unwrap_or(defaults::TALES_VOCAB);
        Ok(Plan { data, model, vocab, tokenizer: fresh.tokenizer.clone(), options })
    }
}

/// Refuses flags that mean nothing for the task.
fn check_task_flags(task: Task, args: &FreshArgs) -> Result<(), CliError> {
    let for_text = [
        ("--preset", args.preset.is_some()),
        ("--tokenizer", args.tokenizer.is_some()),
        ("--vocab", args.vocab.is_some()),
        ("--seq", args.seq.is_some()),
        ("--dim", args.dim.is_some()),
        ("--layers", args.layers.is_some()),
        ("--heads", args.heads.is_some()),
        ("--kv-heads", args.kv_heads.is_some()),
    ];
    let for_images = [("--width", args.width.is_some()), ("--augment", args.augment.is_some())];
    let (foreign, owner): (&[(&str, bool)], _) = match task {
        Task::Stories => (&for_images, "`cifar` and `mlp`"),
        Task::Cifar | Task::Mlp => (&for_text, "`stories`"),
    };
    match foreign.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(CliError::usage(
            format!("{flag} is for {owner}, not for `{}`", task.name()),
            format!("leave {flag} out"),
        )),
        None => Ok(()),
    }
}

fn data_source(task: Task, args: &FreshArgs) -> Result<DataSource, CliError> {
    let Some(given) = &args.data else { return Ok(generated(task, args)) };
    let path = checked_path("--data", given)?;
    existing_source(task, path, args)
}

fn generated(task: Task, args: &FreshArgs) -> DataSource {
    let seed = defaults::DATA_SEED;
    let (train, held_out) = if task == Task::Stories { defaults::TALES } else { defaults::SHAPES };
    // A small set of one's own wish needs no large held-out set beside it.
    let held_out = args.examples.map_or(held_out, |examples| held_out.min(examples));
    let train = args.examples.unwrap_or(train);
    match task {
        Task::Stories => DataSource::Tales { seed, train, held_out },
        Task::Cifar | Task::Mlp => DataSource::Shapes { seed, train, held_out, augment: augment(task, args) },
    }
}

fn augment(task: Task, args: &FreshArgs) -> AugmentName {
    args.augment.unwrap_or_else(|| defaults::augment(task))
}

fn existing_source(task: Task, path: PathBuf, args: &FreshArgs) -> Result<DataSource, CliError> {
    let kind = fs::metadata(&path)
        .map_err(|error| CliError::usage(format!("--data {}: {error}", path.display()), DATA_HELP))?;
    if task != Task::Stories {
        if !kind.is_dir() {
            let message = format!("--data {} is a file, but images come in a folder", path.display());
            return Err(CliError::usage(message, IMAGES_HELP));
        }
        return Ok(DataSource::Images { path, augment: augment(task, args) });
    }
    let tokens = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("bin"));
    if kind.is_dir() || (kind.is_file() && tokens) {
        return Ok(DataSource::Shards { path, held_out: defaults::SHARDS_HELD_OUT });
    }
    if kind.is_file() {
        return Ok(DataSource::Text { path, held_out: defaults::TEXT_HELD_OUT });
    }
    Err(CliError::usage(format!("--data {} is neither a file nor a folder", path.display()), DATA_HELP))
}

const DATA_HELP: &str = "the path of a UTF-8 text, of uint16 token shards (.bin, or a folder of them), of a CIFAR-10 \
                         folder, or of an IDX folder; without --data, data is generated";
const IMAGES_HELP: &str = "a folder with CIFAR-10's binary version, MNIST or Fashion-MNIST; without --data, pictures \
                           are generated";

/// Data at another path to measure a task on: all of a text, the test set of images.
pub(crate) fn other_data(task: Task, path: &Path) -> Result<DataSource, CliError> {
    let path = checked_path("--data", path)?;
    Ok(match existing_source(task, path, &FreshArgs::default())? {
        DataSource::Text { path, .. } => DataSource::Text { path, held_out: 1.0 },
        DataSource::Shards { path, .. } => DataSource::Shards { path, held_out: 1.0 },
        other => other,
    })
}

/// A path made absolute, so that a run finds its data from anywhere; it must be expressible in `config.json`.
fn checked_path(flag: &str, path: &Path) -> Result<PathBuf, CliError> {
    let absolute = path
        .canonicalize()
        .map_err(|error| CliError::usage(format!("{flag} {}: {error}", path.display()), DATA_HELP))?;
    match absolute.to_str() {
        Some(_) => Ok(absolute),
        None => Err(CliError::usage(
            format!("{flag} {}: the path is not UTF-8, so config.json cannot name it", path.display()),
            "another name for the file or its folders",
        )),
    }
}

/// Refuses flags that mean nothing for the data.
fn check_data_flags(data: &DataSource, args: &FreshArgs) -> Result<(), CliError> {
    if args.examples.is_some() && data.path().is_some() {
        return Err(CliError::usage(
            "--examples says how much to generate, but --data gives all there is",
            "leave out one of the two",
        ));
    }
    if let Some(count) = args.examples {
        let most = if matches!(data, DataSource::Tales { .. }) { 1 << 23 } else { 1 << 18 };
        if count > most {
            return Err(CliError::usage(
                format!("--examples {count} is more than can be generated: at most {most}"),
                format!("--examples {most}, or less"),
            ));
        }
    }
    if args.vocab.is_some() && (args.tokenizer.is_some() || !matches!(data, DataSource::Tales { .. })) {
        return Err(CliError::usage(
            "--vocab is for generated stories without --tokenizer: else the tokenizer decides",
            "leave --vocab out",
        ));
    }
    source::check_tokenizer_flag(args.tokenizer.as_deref())
}

fn model(task: Task, args: &FreshArgs, row: &Defaults) -> Result<ModelConfig, CliError> {
    let width = args.width.unwrap_or(row.width);
    Ok(match task {
        Task::Stories => ModelConfig::Llama(llama(args, row)?),
        Task::Cifar => ModelConfig::CifarCnn(CifarCnn { width, ..CifarCnn::new() }),
        Task::Mlp => ModelConfig::Mlp(Mlp { image: [3, 32, 32], hidden: width, classes: 10 }),
    })
}

fn llama(args: &FreshArgs, row: &Defaults) -> Result<Llama, CliError> {
    let name = args.preset.as_deref().unwrap_or(row.preset).to_ascii_lowercase();
    let mut model = defaults::preset(&name).ok_or_else(|| unknown_preset(&name))?;
    if let Some(seq) = args.seq {
        // Published sizes are a promise; with sizes of one's own the length is free.
        if seq > model.seq_len && args.preset.is_some() && args.dim.is_none() {
            return Err(CliError::usage(
                format!("--seq {seq} is more than the {} tokens of the preset `{name}`", model.seq_len),
                format!("--seq {}, or less", model.seq_len),
            ));
        }
        model.seq_len = seq;
    }
    if let Some(dim) = args.dim {
        model.dim = dim;
        model.hidden_dim = defaults::hidden_dim(dim);
    }
    model.n_layers = args.layers.unwrap_or(model.n_layers);
    if let Some(heads) = args.heads {
        model.n_heads = heads;
        model.n_kv_heads = heads;
    }
    model.n_kv_heads = args.kv_heads.unwrap_or(model.n_kv_heads);
    Ok(model)
}

fn unknown_preset(name: &str) -> CliError {
    let names = defaults::preset_names();
    let near = |known: &&&str| {
        let short = known.strip_prefix("stories").unwrap_or(known);
        distance(known, name).min(distance(short, name))
    };
    let nearest = names.iter().min_by_key(near);
    let remedy = nearest.map_or_else(String::new, |nearest| format!("--preset {nearest}"));
    CliError::usage(format!("there is no preset `{name}`; presets: {}", names.join(", ")), remedy)
}

/// Edits (insert, remove, replace a character) between two words.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

fn options(args: &TrainArgs, row: &Defaults) -> Result<TrainOptions, CliError> {
    let fresh = &args.fresh;
    let steps = args.steps.unwrap_or(row.steps);
    let accumulate = fresh.accumulate.unwrap_or(1);
    let updates = steps / u64::from(accumulate);
    if updates == 0 {
        return Err(CliError::usage(
            format!("--accumulate {accumulate} batches make one update, but there are only {steps} steps"),
            format!("--steps {accumulate}, or more"),
        ));
    }
    let clip = fresh.clip.unwrap_or(row.clip);
    let step = StepOptions {
        optimizer: optimizer(fresh, row)?,
        schedule: schedule(fresh, row, updates)?,
        clip_norm: (clip > 0.0).then_some(clip),
        accumulate,
        decay_matrices_only: true,
        precision: match fresh.dtype.unwrap_or(Dtype::Fp32) {
            Dtype::Fp32 => Precision::Fp32,
            Dtype::Fp16 => Precision::Fp16(LossScaling::default()),
        },
    };
    let eval_batches = fresh.eval_batches.unwrap_or(row.eval_batches as u64);
    let options = TrainOptions {
        steps,
        batch_size: fresh.batch.unwrap_or(row.batch),
        seed: fresh.seed.unwrap_or(0),
        eval_every: args.eval_every.unwrap_or(row.eval_every),
        eval_batches: Some(usize::try_from(eval_batches).unwrap_or(usize::MAX)),
        save_every: args.save_every.unwrap_or(row.save_every),
        step,
    };
    options.check().map_err(|error| CliError::Usage { message: error.to_string(), remedy: None })?;
    Ok(options)
}

fn optimizer(args: &FreshArgs, row: &Defaults) -> Result<Optimizer, CliError> {
    let name = args.optimizer.unwrap_or(row.optimizer);
    if args.momentum.is_some() && name != OptimizerName::Sgd {
        return Err(CliError::usage("--momentum is for sgd", "--optimizer sgd, or leave --momentum out"));
    }
    let usual = name == row.optimizer;
    let weight_decay = args.weight_decay.unwrap_or(if usual { row.weight_decay } else { 0.0 });
    Ok(match name {
        OptimizerName::Sgd => {
            let lr = args.lr.unwrap_or(if usual { row.lr } else { 0.02 });
            let momentum = args.momentum.unwrap_or(0.9);
            Optimizer::SGD(SGD { lr, momentum, weight_decay, nesterov: false })
        }
        OptimizerName::Adam => {
            let lr = args.lr.unwrap_or(row.lr);
            Optimizer::Adam(Adam { lr, weight_decay, ..Adam::default() })
        }
        OptimizerName::Adamw => {
            let lr = args.lr.unwrap_or(row.lr);
            // Short runs at high rates want a shorter memory of squares than PyTorch's 0.999.
            Optimizer::AdamW(AdamW { lr, weight_decay, betas: (0.9, 0.99), ..AdamW::default() })
        }
    })
}

fn schedule(args: &FreshArgs, row: &Defaults, updates: u64) -> Result<Schedule, CliError> {
    let total = u32::try_from(updates).unwrap_or(u32::MAX);
    if args.schedule == Some(ScheduleName::Constant) {
        return match args.warmup {
            None | Some(0) => Ok(Schedule::Constant),
            Some(_) => Err(CliError::usage(
                "--warmup is for the cosine schedule",
                "leave out --warmup or --schedule constant",
            )),
        };
    }
    let warmup = args.warmup.unwrap_or(row.warmup.min(total / 10));
    if warmup >= total {
        return Err(CliError::usage(
            format!("--warmup {warmup} must be shorter than the run, which has {total} updates"),
            format!("--warmup {}", total / 10),
        ));
    }
    Ok(Schedule::WarmupCosine { warmup, total, min_ratio: defaults::MIN_LR_RATIO })
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("stories15m", "stories15m"), 0);
        assert_eq!(distance("stories15m", "storys15m"), 2);
        assert_eq!(distance("char", "chat"), 1);
    }
}
