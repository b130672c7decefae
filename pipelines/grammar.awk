# SPDX-License-Identifier: MIT
# grammar: sentences of a small English, some of them broken, with their label.
#
#   awk -v n=1000 -v seed=1 -f grammar.awk > train.tsv          label TAB sentence
#   awk -v n=1000 -v seed=2 -v good=1 -f grammar.awk > text     good sentences alone
#
# Label 1 is grammatical, 0 is not.  What breaks a sentence: the verb or the reflexive does not
# agree with its subject (a noun of the other number often stands between), a determiner does
# not fit its noun, two words are swapped, or the verb is missing.  About seven in ten are
# good, as in CoLA.  The generator is the minimal standard one, exact in double precision, so
# that every awk gives the same corpus.

function random(k) { state = (state * 16807) % 2147483647; return int(state / 2147483647 * k) }
function pick(list, a, k) { k = split(list, a, " "); return a[1 + random(k)] }

function plural(noun) {
    if (noun == "child") return "children"
    if (noun == "woman") return "women"
    if (noun == "man") return "men"
    if (noun ~ /y$/) return substr(noun, 1, length(noun) - 1) "ies"
    if (noun ~ /(s|ch|x)$/) return noun "es"
    return noun "s"
}
function noun_form(noun, many) { return many ? plural(noun) : noun }
function determiner(many) { return many ? pick("these those many some the") : pick("this that every a the") }
function verb_form(verb, many) {
    if (many) return verb
    if (verb ~ /(s|ch|x|sh)$/) return verb "es"
    return verb "s"
}
function noun_phrase(many, adjective) {
    adjective = random(3) == 0 ? pick(adjectives) " " : ""
    return determiner(many) " " adjective noun_form(pick(nouns), many)
}
# Between a subject and its verb: a noun that may be of the other number.
function attractor(many, kind) {
    kind = random(10)
    if (kind < 4) return ""
    if (kind < 8) return " " pick("near behind beside with") " " noun_phrase(random(2))
    return " that " verb_form(pick(transitive), many) " " noun_phrase(random(2))
}
function reflexive(many) { return many ? "themselves" : "itself" }

function sentence(break_kind, many, subject, verb, tail, text, verb_many) {
    many = random(2)
    subject = noun_phrase(many) attractor(many)
    verb_many = break_kind == 1 ? !many : many
    if (random(3) == 0) {
        verb = verb_form(pick(intransitive), verb_many)
        tail = random(2) ? " " pick(adverbs) : ""
    } else {
        verb = verb_form(pick(transitive), verb_many)
        tail = " " (random(4) == 0 || break_kind == 2 ? reflexive(break_kind == 2 ? !many : many) : noun_phrase(random(2)))
    }
    if (break_kind == 3) subject = (many ? pick("this that every") : pick("these those many")) substr(subject, index(subject, " "))
    text = break_kind == 5 ? subject tail : subject " " verb tail
    if (random(4) == 0) text = pick("today yesterday often sometimes") " " text
    if (break_kind == 4) text = swapped(text)
    return text " ."
}
function swapped(text, word, k, i, other, out) {
    k = split(text, word, " ")
    i = 1 + random(k - 1)
    other = word[i]; word[i] = word[i + 1]; word[i + 1] = other
    out = word[1]
    for (i = 2; i <= k; i++) out = out " " word[i]
    return out
}

BEGIN {
    nouns = "dog cat child woman man teacher student farmer painter doctor baker pilot lawyer river house box garden story letter picture song city lady fox witch"
    adjectives = "old young small tall quiet happy green clever tired famous"
    transitive = "see watch help follow praise admire know like remember paint visit draw"
    intransitive = "sleep laugh run sing arrive smile dance wait"
    adverbs = "slowly again quietly here together early"
    state = 1 + (seed * 7919 + 104729) % 2147483646
    for (i = 0; i < 20; i++) random(2)
    for (made = 0; made < n; made++) {
        kind = 0
        if (!good && random(10) < 3) kind = 1 + random(5)
        text = sentence(kind)
        if (good) print text
        else print (kind == 0) "\t" text
    }
}
