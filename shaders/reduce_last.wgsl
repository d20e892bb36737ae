// The types of a reduction's pass: the last of several passes.

alias Source = f32;
alias Target = Elem;
