/* SPDX-License-Identifier: MIT */
/*
 * rulecode: what an encoder does for pre-tokenizers with rules and for the models beside
 * WordPiece and BPE over bytes.
 */
#include "tokencode.h"

int64_t encoder_other_model(struct encoder *enc, const uint8_t *word, size_t n, uint32_t *ids)
{
    const struct tokenizer *t = enc->t;
    int64_t id;

    if (t->model == TOK_UNIGRAM)
        return unigram_word(&t->unigram, &t->vocab, word, n, &enc->unigram, ids, enc->e);
    if (t->model == TOK_BPE) {
        const struct charbpe_model m = {&t->chars, &t->bpe, &t->vocab};

        return charbpe_word(&m, word, n, &enc->bpe, ids, enc->e);
    }
    id = vocabmap_id(&t->vocab, (const char *)word, n);
    *ids = (uint32_t)(id < 0 ? t->words_unk : id);
    return 1;
}

int encoder_split_rules(struct encoder *enc, const uint8_t *p, size_t n)
{
    const struct pretokenizer *pre = &enc->t->pre;
    const struct presplit_input in = {
        .p = p, .n = n, .slack = ENCODER_SLACK,
        .first = enc->first_end > p ? (size_t)(enc->first_end - p) : 0};
    const bool last = pre->step[pre->n - 1] <= PRE_NONE;
    struct presplit *w = &enc->split;

    if (presplit(pre, last ? pre->n - 1 : pre->n, &in, w, enc->e))
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        const struct span piece = w->span[w->list][i];

        if (last ? encoder_last_step(enc, w->p + piece.at, piece.n)
                 : encoder_queue(enc, w->p + piece.at, piece.n, 0))
            return -1;
    }
    return encoder_flush(enc);
}
