/* SPDX-License-Identifier: MIT */
/*
 * The memory of a GPU: what is announced is enough, and for models as they are used it is what
 * it should be.  Nothing is trained here.
 */
#include "model_rig.h"
#include "par.h"

static struct model *open_model(const char *sizes, enum model_head head, struct err *e)
{
    const struct model_options options = {.dir = dir, .head = head, .init = true, .seed = 7,
                                          .dropout = -1, .device = "cuda",
                                          .precision = "bf16"};

    if (put_config("{\"model_type\":\"bert\",\"type_vocab_size\":2,\"pad_token_id\":0,%s}", sizes))
        return NULL;
    return model_open(&options, NULL, e);
}

/* Sequences of `len` tokens, all of them; of masked ones 15 % are rows. */
static struct model_limits limits_of(int64_t tokens, int64_t len, bool mlm)
{
    const struct model_limits l = {.tokens = tokens,
                                   .sequences = tokens / len,
                                   .rows = mlm ? tokens * 15 / 100 : tokens / len,
                                   .max_len = len,
                                   .train = true};

    return l;
}

/* What model_reserve takes is within what model_gpu_bytes says, and not far below. */
static void announced_is_enough(void)
{
    static const char small[] = "\"vocab_size\":3000,\"hidden_size\":128,\"num_hidden_layers\":4,"
                                "\"num_attention_heads\":2,\"intermediate_size\":512,"
                                "\"max_position_embeddings\":512";

    for (int mlm = 0; mlm < 2; mlm++) {
        const struct model_limits l = limits_of(2048, 128, mlm);
        struct err e = {0};
        struct model *m = open_model(small, mlm ? HEAD_MLM : HEAD_CLASSIFY, &e);
        const size_t said = m ? model_gpu_bytes(m, &l) : 0;
        const size_t before = m ? model_gpu_room(m) : 0;
        size_t took;

        CHECK_MSG(m && model_reserve(m, &l, &e) == 0, "%s", e.text);
        took = m ? before - model_gpu_room(m) : 0; /* beside the weights and our own */
        CHECK_MSG(m && took > 0 && took < said, "%zu bytes were taken, %zu announced", took, said);
        CHECK_MSG(m && model_gpu_bytes(m, &l) == said, "then %zu were announced, not %zu",
                  model_gpu_bytes(m, &l), said);
        model_close(m);
    }
}

/* BERT-base at 8,192 tokens a step stays under 6 GB. */
static void base_is_below_its_target(void)
{
    static const char base[] = "\"vocab_size\":30522,\"hidden_size\":768,\"num_hidden_layers\":12,"
                               "\"num_attention_heads\":12,\"intermediate_size\":3072,"
                               "\"max_position_embeddings\":512";
    static const int64_t lengths[] = {64, 256, 512};

    for (int mlm = 0; mlm < 2; mlm++) {
        struct err e = {0};
        struct model *m = open_model(base, mlm ? HEAD_MLM : HEAD_CLASSIFY, &e);

        CHECK_MSG(m != NULL, "%s", e.text);
        for (int i = 0; m && i < 3; i++) {
            const struct model_limits l = limits_of(8192, lengths[i], mlm);
            const double gb = (double)model_gpu_bytes(m, &l) / 1e9;

            printf("# BERT-base, %s, 8,192 tokens in sequences of %ld: %.2f GB\n",
                   mlm ? "masked LM" : "classes", (long)lengths[i], gb);
            CHECK_MSG(gb > 2 && gb < 6, "%.2f GB", gb);
        }
        model_close(m);
    }
}

static void suite(void)
{
    RUN(announced_is_enough);
    RUN(base_is_below_its_target);
}

int main(void)
{
    return model_main(suite);
}
