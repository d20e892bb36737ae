// The types of a reduction's pass: what is stored both ways.

alias Source = Elem;
alias Target = Elem;
