// Matrices of the units, 8 x 8: the left operand, the right one, sums.

const MATRIX: u32 = 8u;
alias MatrixA = coop_mat8x8<f16, A>;
alias MatrixB = coop_mat8x8<f16, B>;
alias MatrixC = coop_mat8x8<f32, C>;
