// Items of one stored element.

alias Item = Elem;
