// The types of a reduction's pass: the first of several passes: partial results stay f32.

alias Source = Elem;
alias Target = f32;
