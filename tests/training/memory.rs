//! A limit on the bytes between ops: what is learned is the same bits, and one that cannot be held is refused with what is needed.

use super::{bits, engines, epochs, quick, spots};
use wgconv::train::{Adam, Engine, Loss, Sequential, Trainer, TrainerDescriptor};
use wgconv::{Activation, Error};

/// Convolutions, norms by the statistics of their batch, a branch, pools and dropout.
fn model() -> Sequential {
    let stem = Sequential::new([1, 10, 10]).conv2d(4, 3, Activation::None).batch_norm().activation(Activation::Relu);
    stem.residual(|branch| branch.batch_norm().activation(Activation::Tanh)).max_pool2d(2).dropout(0.25).flatten().dense(4, Activation::None)
}

fn learned(engine: &Engine, memory_limit: Option<u64>) -> Result<Vec<u32>, Error> {
    let data = spots(48);
    let descriptor = TrainerDescriptor { memory_limit, ..quick() };
    let mut trainer = Trainer::new(engine.clone(), &model(), Loss::cross_entropy(), Adam { rate: 0.01, ..Default::default() }, &descriptor)?;
    trainer.step(&data, &(0..16).collect::<Vec<_>>())?;
    epochs(&mut trainer, &data, 2);
    Ok(bits(&trainer.model()?))
}

/// Bytes that the error of a limit says are needed.
fn needed(engine: &Engine, limit: u64) -> u64 {
    let error = learned(engine, Some(limit)).unwrap_err();
    let text = error.to_string();
    let Error::TooLarge { needed, limit: named, limit_name: "memory_limit", .. } = error else { panic!("{text}") };
    let wanted = format!("a run with cheap values computed again needs {needed} bytes between ops, but memory_limit is {limit}");
    assert_eq!((text, named), (wanted, limit));
    u64::try_from(needed).unwrap()
}

#[test]
fn a_trainer_with_a_limit_learns_the_same_bits() {
    for engine in engines() {
        let free = learned(&engine, None).unwrap();
        let least = needed(&engine, 1);
        // Batches of 16, 4 channels of 8 x 8: the first convolution gives so much, and what its norm makes of it is there beside it.
        assert!(least >= 2 * 16 * 4 * 8 * 8 * 4, "{least}");
        assert_eq!(needed(&engine, 0), least);
        for limit in [least, least + 20_000, u64::MAX] {
            assert!(learned(&engine, Some(limit)).unwrap() == free, "{limit}");
        }
    }
}

/// A limit is one that a descriptor keeps, and that old descriptors lack.
#[test]
fn a_descriptor_without_a_limit_has_none() {
    let old: TrainerDescriptor = serde_json::from_str("{\"batch\": 8}").unwrap();
    assert_eq!(old.memory_limit, None);
    let own = TrainerDescriptor { memory_limit: Some(1 << 20), ..quick() };
    assert_eq!(serde_json::from_str::<TrainerDescriptor>(&serde_json::to_string(&own).unwrap()).unwrap(), own);
}
