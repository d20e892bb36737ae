//! The id of a convolution.

use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::types::shape::WindowAxis;
use crate::types::{Activation, ElementType, Layout, PaddingMode};

/// One line that says all: `n2c13h9w7_k12r3s5_st2x1_p1,0,2,1_d1x2_g1`, followed by what is not the default.
impl std::fmt::Display for ConvProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |pick: &dyn Fn(&WindowAxis) -> i64, sep: &str| self.spatial().iter().map(|a| pick(a).to_string()).collect::<Vec<_>>().join(sep);
        if self.direction == Direction::Transposed {
            write!(f, "t_")?;
        }
        write!(f, "n{}c{}", self.batch, self.in_channels)?;
        for (axis, letter) in self.spatial().iter().zip(&["d", "h", "w"][3 - self.rank..]) {
            write!(f, "{letter}{}", axis.input)?;
        }
        write!(f, "_k{}", self.out_channels)?;
        for (axis, letter) in self.spatial().iter().zip(&["t", "r", "s"][3 - self.rank..]) {
            write!(f, "{letter}{}", axis.filter)?;
        }
        write!(f, "_st{}_p{},{}", list(&|a| a.stride as i64, "x"), list(&|a| a.pad_begin, ","), list(&|a| a.pad_end, ","))?;
        write!(f, "_d{}_g{}", list(&|a| a.dilation as i64, "x"), self.groups)?;
        if self.padding_mode != PaddingMode::Zeros {
            write!(f, "_{}", self.padding_mode.name())?;
        }
        if self.has_bias {
            write!(f, "_b")?;
        }
        if self.has_residual {
            write!(f, "_r")?;
        }
        if self.activation != Activation::None {
            write!(f, "_{}", self.activation)?;
        }
        if let Some(pool) = self.pool {
            write!(f, "_{}", pool.name())?;
        }
        match (self.x_layout, self.y_layout) {
            (Layout::ChannelsFirst, Layout::ChannelsFirst) => {}
            (Layout::ChannelsLast, Layout::ChannelsLast) => write!(f, "_cl")?,
            (Layout::ChannelsFirst, Layout::ChannelsLast) => write!(f, "_cf2cl")?,
            (Layout::ChannelsLast, Layout::ChannelsFirst) => write!(f, "_cl2cf")?,
        }
        if self.element != ElementType::F32 {
            write!(f, "_{}", self.element)?;
        }
        Ok(())
    }
}
