# SPDX-License-Identifier: MIT
# bertutils: `make` builds the executables in bin/; see README for the other targets.
#
# The layers are lists of object names; a tool is linked with the layers it may use and with
# nothing else, so that the linker proves the layering:
#   L0 base  L1 io  L2 text  L3 data  L4 model  L5 results

O ?= build
BIN ?= bin
PREFIX ?= /usr/local
CC ?= cc
OPT ?= -O3
WARN = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
HARDEN = -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
CFLAGS ?= $(OPT) -g
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -Ilib $(WARN) $(HARDEN) $(CFLAGS) -pthread -MMD -MP
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,-z,noexecstack $(LDFLAGS)

L0 = err mem msg par opt template
L1 = io zio tokstream tokstream_read tokstream_write tokheader records delim jsonl archive
L2 = utf8 unidata normalize pretoken wordpiece bpe added tokjson tokfiles tokenizer decode
L2_TRAIN = train_wordpiece train_bpe vocab
L3 = dataset batch mask split shard stat
L4 = backend config safetensors pickle weights modeldir params arena encoder encoder_bwd \
     heads optim checkpoint train
L5 = scores metrics
KERNELS = $(patsubst kernels/cpu/%.c,%,$(wildcard kernels/cpu/*.c))

# Names that have no source yet are left out while the house is being built.
layer = $(patsubst lib/%.c,$(O)/lib/%.o,$(wildcard $(patsubst %,lib/%.c,$(1))))
kernel_objects = $(patsubst %,$(O)/kernels/cpu/%.o,$(KERNELS))
base = $(call layer,$(L0))
text = $(base) $(call layer,$(L1) $(L2))
data = $(text) $(call layer,$(L3))
model = $(data) $(call layer,$(L4)) $(kernel_objects)
results = $(base) $(call layer,io $(L5))

LIBS_base = -lm
LIBS_stream = -lzstd -lxxhash -larchive -ljansson $(LIBS_base)
LIBS_model = -ldnnl -ldl $(LIBS_stream)

TOOLS = $(patsubst bin/%.c,%,$(wildcard bin/*.c))

all: tools
tools: $(TOOLS:%=$(BIN)/%)

$(BIN)/tok: $(text)
$(BIN)/vocab: $(text) $(call layer,$(L2_TRAIN))
$(BIN)/shard: $(data)
$(BIN)/mcc: $(results)
$(BIN)/finetune $(BIN)/mlm-pretrain: $(model) $(call layer,$(L5))
$(BIN)/score: $(model) $(call layer,$(L5))
$(BIN)/tok $(BIN)/vocab $(BIN)/shard $(BIN)/mcc: LIBS = $(LIBS_stream)
$(BIN)/finetune $(BIN)/mlm-pretrain $(BIN)/score: LIBS = $(LIBS_model)

$(TOOLS:%=$(BIN)/%): $(BIN)/%: $(O)/bin/%.o
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS)

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# A C unit test is tests/unit/test_X.c; it links everything but another test.
UNITS = $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
units: $(UNITS:%=$(O)/unit/%)
unit_objects = $(model) $(call layer,$(L2_TRAIN) $(L5))
$(UNITS:%=$(O)/unit/%): $(O)/unit/%: $(O)/tests/unit/%.o $(unit_objects)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS_model)

clean:
	rm -rf $(O) $(TOOLS:%=$(BIN)/%)

.PHONY: all tools units clean
-include $(shell find $(O) -name '*.d' 2>/dev/null)
