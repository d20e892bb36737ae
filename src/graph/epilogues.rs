//! Passes that put into an op's epilogue what stands behind it: a bias, a residual, an activation, a pool of 2.

use super::passes::{Pass, Work};
use super::{Numbers, Ranked, Recipe, ValueId};
use crate::ops::conv::fused::FusedPool;
use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp};
use crate::ops::pool::descriptor::{PoolDescriptor, PoolKind};
use crate::types::{Activation, Padding, Result};

impl Work {
    /// A sum with one number for each channel goes into the convolution or dense layer before it: MatMul and Add are how files have a dense layer of more than
    /// two axes.
    pub(super) fn fuse_biases(&mut self) -> Result<()> {
        for i in self.live() {
            let Recipe::Binary(BinaryDescriptor { op: BinaryOp::Add, activation }) = self.node(i).recipe else { continue };
            let &[a, b] = &self.node(i).inputs[..] else { continue };
            for (own, bias) in [(a, b), (b, a)] {
                let Some(p) = self.producer(own).filter(|&p| !self.gone[p] && self.is_read_once(own)) else { continue };
                let Some((recipe, axis)) = with_bias(&self.node(p).recipe, activation, self.graph.rank(own)) else { continue };
                let Some(bias) = self.bias(bias, own, axis)? else { continue };
                let mut inputs = self.node(p).inputs.clone();
                inputs.push(bias);
                let (name, sum) = (self.node(p).name.clone(), self.node(i).name.clone());
                if self.put(i, name.clone(), recipe, inputs, &[p]) {
                    self.note(Pass::FuseBias, format!("{sum} into {name}"));
                    break;
                }
            }
        }
        Ok(())
    }

    /// A weight that broadcasts along all axes of `of` but one, as the vector that a bias is.
    fn bias(&mut self, value: ValueId, of: ValueId, axis: usize) -> Result<Option<ValueId>> {
        let (Some(extents), Some(channels)) = (self.graph.extents(value), self.graph.extent(of, axis)) else { return Ok(None) };
        // Axes are counted from the end.
        let behind = self.graph.rank(of) - axis;
        let is_vector =
            extents.len() >= behind && extents.iter().rev().enumerate().all(|(i, &extent)| extent == if i + 1 == behind { channels } else { 1 });
        let Some(numbers) = self.graph.numbers(value).filter(|_| is_vector) else { return Ok(None) };
        if extents.len() == 1 {
            return Ok(Some(value));
        }
        let flat = |of: usize| ndarray::IxDyn(&[of]);
        let numbers = match numbers {
            Numbers::F32(array) => array.to_shape(flat(channels)).map(|array| Numbers::F32(array.into_owned())),
            Numbers::F16(array) => array.to_shape(flat(channels)).map(|array| Numbers::F16(array.into_owned())),
        };
        let Ok(numbers) = numbers else { return Ok(None) };
        let stem = format!("{}.vector", self.graph.values()[value.index()].name());
        self.add_parameter(&stem, numbers).map(Some)
    }

    /// A sum with a tensor of the same shape goes into the convolution or dense layer before it.
    pub(super) fn fuse_residuals(&mut self) {
        for i in self.live() {
            let Recipe::Binary(BinaryDescriptor { op: BinaryOp::Add, activation }) = self.node(i).recipe else { continue };
            let &[a, b] = &self.node(i).inputs[..] else { continue };
            // Of two that could, the later: the other is there by then.
            let mut candidates: Vec<(usize, ValueId)> =
                [(a, b), (b, a)].into_iter().filter_map(|(own, other)| Some((self.producer(own)?, other))).collect();
            candidates.sort_by_key(|(p, _)| std::cmp::Reverse(*p));
            for (p, other) in candidates {
                let own = self.node(p).outputs[0];
                if own == other || !self.is_read_once(own) || self.graph.types[own.0] != self.graph.types[other.0] {
                    continue;
                }
                let Some(recipe) = with_residual(&self.node(p).recipe, activation) else { continue };
                let inputs = self.node(p).inputs.iter().copied().chain([other]).collect();
                let (name, sum) = (self.node(p).name.clone(), self.node(i).name.clone());
                if self.put(i, name.clone(), recipe, inputs, &[p]) {
                    self.note(Pass::FuseResidual, format!("{sum} into {name}"));
                    break;
                }
            }
        }
    }

    /// relu(concat(a, b)) is concat(relu(a), relu(b)), whose activations cost nothing where a and b are results of ops with an epilogue.
    pub(super) fn push_activations(&mut self) {
        for i in self.live() {
            let Recipe::Activation(activation) = self.node(i).recipe else { continue };
            let (x, y) = (self.node(i).inputs[0], self.node(i).outputs[0]);
            let Some(p) = self.producer(x).filter(|&p| !self.gone[p] && self.is_read_once(x)) else { continue };
            if !matches!(self.node(p).recipe, Recipe::Concat { .. }) {
                continue;
            }
            let with_epilogue = |&part: &ValueId| {
                let op = self.producer(part).filter(|&op| !self.gone[op] && self.is_read_once(part))?;
                Some((op, with_activation(&self.node(op).recipe, activation)?))
            };
            let Some(ops) = self.node(p).inputs.iter().map(with_epilogue).collect::<Option<Vec<_>>>() else { continue };
            // An epilogue changes no type, so each of these is put.
            for (op, recipe) in ops {
                let (name, inputs) = (self.node(op).name.clone(), self.node(op).inputs.clone());
                self.put(op, name, recipe, inputs, &[]);
            }
            let what = format!("{} before {}", self.node(i).name, self.node(p).name);
            self.replace(y, x);
            self.gone[i] = true;
            self.note(Pass::PushActivation, what);
        }
    }

    /// An activation goes into the op before it.
    pub(super) fn fuse_activations(&mut self) {
        for i in self.live() {
            let Recipe::Activation(activation) = self.node(i).recipe else { continue };
            let x = self.node(i).inputs[0];
            let Some(p) = self.producer(x).filter(|&p| !self.gone[p] && self.is_read_once(x)) else { continue };
            let Some(recipe) = with_activation(&self.node(p).recipe, activation) else { continue };
            let (name, own, inputs) = (self.node(p).name.clone(), self.node(i).name.clone(), self.node(p).inputs.clone());
            if self.put(i, name.clone(), recipe, inputs, &[p]) {
                self.note(Pass::FuseActivation, format!("{own} into {name}"));
            }
        }
    }

    /// A pool of 2 goes into the convolution before it.
    pub(super) fn fuse_pools(&mut self) {
        for i in self.live() {
            let Recipe::Pool(Ranked::Two(pool)) = self.node(i).recipe.clone() else { continue };
            let Some(fused) = as_fused(&pool) else { continue };
            let x = self.node(i).inputs[0];
            let Some(p) = self.producer(x).filter(|&p| !self.gone[p] && self.is_read_once(x)) else { continue };
            let Recipe::Conv { descriptor: Ranked::Two(mut conv), bias, residual: false } = self.node(p).recipe.clone() else { continue };
            if conv.pool.is_some() {
                continue;
            }
            conv.pool = Some(fused);
            let (name, own, inputs) = (self.node(p).name.clone(), self.node(i).name.clone(), self.node(p).inputs.clone());
            if self.put(i, name.clone(), Recipe::Conv { descriptor: Ranked::Two(conv), bias, residual: false }, inputs, &[p]) {
                self.note(Pass::FusePool, format!("{own} into {name}"));
            }
        }
    }
}

/// The op with a bias and this activation behind it, where it has neither yet nor anything else behind it, and the axis of its result that the bias is along.
fn with_bias(recipe: &Recipe, activation: Activation, rank: usize) -> Option<(Recipe, usize)> {
    let mut recipe = recipe.clone();
    let (has, residual, own, is_pooled, axis) = match &mut recipe {
        Recipe::Conv { descriptor, bias, residual } => {
            let (own, is_pooled) = match descriptor {
                Ranked::One(d) => (&mut d.activation, d.pool.is_some()),
                Ranked::Two(d) => (&mut d.activation, d.pool.is_some()),
                Ranked::Three(d) => (&mut d.activation, d.pool.is_some()),
            };
            (bias, *residual, own, is_pooled, 1)
        }
        Recipe::Linear { descriptor, bias, residual } => (bias, *residual, &mut descriptor.activation, false, rank.checked_sub(1)?),
        _ => return None,
    };
    if *has || residual || is_pooled || *own != Activation::None {
        return None;
    }
    (*has, *own) = (true, activation);
    Some((recipe, axis))
}

/// The op with a residual and this activation behind it, where it has neither yet.
fn with_residual(recipe: &Recipe, activation: Activation) -> Option<Recipe> {
    let mut recipe = recipe.clone();
    let own = match &mut recipe {
        Recipe::Conv { descriptor: Ranked::One(d), residual, .. } if d.pool.is_none() && !*residual => (residual, &mut d.activation),
        Recipe::Conv { descriptor: Ranked::Two(d), residual, .. } if d.pool.is_none() && !*residual => (residual, &mut d.activation),
        Recipe::Conv { descriptor: Ranked::Three(d), residual, .. } if d.pool.is_none() && !*residual => (residual, &mut d.activation),
        Recipe::Linear { descriptor: d, residual, .. } if !*residual => (residual, &mut d.activation),
        _ => return None,
    };
    if *own.1 != Activation::None {
        return None;
    }
    (*own.0, *own.1) = (true, activation);
    Some(recipe)
}

/// The op with this activation behind it, where it has none yet.
fn with_activation(recipe: &Recipe, activation: Activation) -> Option<Recipe> {
    let mut recipe = recipe.clone();
    let own = match &mut recipe {
        Recipe::Conv { descriptor: Ranked::One(d), .. } if d.pool.is_none() => &mut d.activation,
        Recipe::Conv { descriptor: Ranked::Two(d), .. } if d.pool.is_none() => &mut d.activation,
        Recipe::Conv { descriptor: Ranked::Three(d), .. } if d.pool.is_none() => &mut d.activation,
        Recipe::ConvTranspose { descriptor: Ranked::One(d) } => &mut d.activation,
        Recipe::ConvTranspose { descriptor: Ranked::Two(d) } => &mut d.activation,
        Recipe::ConvTranspose { descriptor: Ranked::Three(d) } => &mut d.activation,
        Recipe::Linear { descriptor: d, .. } => &mut d.activation,
        Recipe::Gemm(d) => &mut d.activation,
        // That of an activation's gradient is not applied to its result.
        Recipe::Binary(d) if d.op != BinaryOp::ActivationGradient => &mut d.activation,
        Recipe::Unary(d) => &mut d.activation,
        Recipe::BatchNorm { descriptor: d, .. } => &mut d.activation,
        _ => return None,
    };
    if *own != Activation::None {
        return None;
    }
    *own = activation;
    Some(recipe)
}

/// The pool that a convolution's epilogue has, where it is this one.
fn as_fused(pool: &PoolDescriptor<2>) -> Option<FusedPool> {
    let is_two = pool.window == [2, 2] && pool.stride.is_none_or(|stride| stride == [2, 2]) && pool.dilation == [1, 1];
    let no_pads = matches!(pool.padding, Padding::Valid | Padding::Explicit { begin: [0, 0], end: [0, 0] });
    if !is_two || pool.ceil_mode || !no_pads {
        return None;
    }
    match pool.kind {
        PoolKind::Max { indices: None } => Some(FusedPool::Max),
        PoolKind::Average { .. } => Some(FusedPool::Average),
        _ => None,
    }
}
