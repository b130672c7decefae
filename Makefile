# SPDX-License-Identifier: MIT
# bertutils: `make` builds the executables in bin/; see README for the other targets.
#
# The layers are lists of object names; a tool is linked with the layers it may use and with
# nothing else, so that the linker proves the layering:
#   L0 base  L1 io  L2 text  L3 data  L4 model  L5 results  L6 whole jobs over all of them

O ?= build
BIN ?= bin
PREFIX ?= /usr/local
CC ?= cc
OPT ?= -O3
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
TESTS ?= tests/*.bats
# One short line a file; V=1 shows the commands.
ifndef V
Q = @
SAY_CC = @echo "  CC   $<"
SAY_LINK = @echo "  LINK $@"
endif
WARN = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
HARDEN = -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
CFLAGS ?= $(OPT) -g
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -Ilib $(WARN) $(HARDEN) $(CFLAGS) -pthread -MMD -MP
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,-z,noexecstack $(LDFLAGS)

L0 = err mem msg par opt template utf8 screen lengths stop
L1 = io zio zio_out intern tokblock tokchain tokheader tokstream tokunit \
     tokstream_read tokstream_write tokcheck utf8fix feed gunzip unpack encoding jsontext \
     libarchive members source columns delim jsonl detect labelcheck chunk rows records modelpath \
     seen topwords stat stat_print statfile
L2 = unidata uniprop marks normalize pretoken trie triesort vocabmap wordpiece bpe added jsonscan tokvocab \
     unigram charbpe unikind charsmap pattern pattern_class pattern_run normsteps normchars presplit unitscan \
     rulecode tokjson tokjson_parts tokjson_post tokjson_text sentencepiece tokspm \
     tokfamily tokfiles tokenizer tokhash byteclass byteclass_x86 byteclass_neon tokencode bertscan bertchars bpechars gpt2scan decode \
     clean clean_html clean_text clean_word clean_form clean_show unkwords align explain explain_print explain_run tokenize tokenize_say detok
L2_TRAIN = wordcount vocablist alphabet pairmerge seedpieces piecesum piecetrain \
    spmwrite vocabjson vocabfiles vocabtrain
L3 = dataset batch mask order labels schedule split shard_out shard
L4 = backend config tensorfile safetensors safetensors_write zipdir pickle_vm pickle weights \
     modeldir params arena init model model_load model_run model_step model_update model_pad model_tensors bert bert_bwd \
     heads checkpoint
L5 = scores scores_read metrics metrics_rank metrics_random metrics_boot report report_json
L6 = scoring train train_main train_input train_classify train_mlm train_plan train_loop train_log train_state \
     train_output
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
LIBS_stream = -lzstd -lxxhash -lz -ljansson -ldl $(LIBS_base)
LIBS_model = -ldnnl $(LIBS_stream)

TOOLS = $(patsubst bin/%.c,%,$(wildcard bin/*.c))

tools: $(TOOLS:%=$(BIN)/%)
all: tools cuda

$(BIN)/tok: $(text)
$(BIN)/vocab: $(text) $(call layer,$(L2_TRAIN))
$(BIN)/shard: $(data)
$(BIN)/mcc: $(results)
$(BIN)/finetune $(BIN)/mlm-pretrain: $(model) $(call layer,$(L5) $(L6))
$(BIN)/score: $(model) $(call layer,$(L5) scoring)
$(BIN)/tok $(BIN)/vocab $(BIN)/shard $(BIN)/mcc: LIBS = $(LIBS_stream)
$(BIN)/finetune $(BIN)/mlm-pretrain $(BIN)/score: LIBS = $(LIBS_model)

$(TOOLS:%=$(BIN)/%): $(BIN)/%: $(O)/bin/%.o
	@mkdir -p $(@D)
	$(SAY_LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS)

# What lets the compiler make SIMD code of plain loops; NaN and infinity keep their meaning.
KERNEL_CFLAGS = -fopenmp-simd -ffp-contract=fast -fno-math-errno -fno-trapping-math \
    -Wno-pass-failed
# Ties the CUDA plug-in to the executables: a sum of the headers that both are made of.
BUILD_ID := $(shell cat lib/backend.h lib/mat.h lib/philox.h lib/par.h lib/err.h | cksum | \
    tr ' ' -)
$(O)/kernels/%.o: ALL_CFLAGS += $(KERNEL_CFLAGS) -DBERTUTILS_BUILD_ID='"$(BUILD_ID)"'

$(O)/%.o: %.c | $(O)/libraries
	@mkdir -p $(@D)
	$(SAY_CC)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

# Names the package of a library that is not there, once a build folder.
$(O)/libraries: pipelines/libraries.sh
	@mkdir -p $(@D)
	@CC='$(CC)' sh pipelines/libraries.sh check && touch $@
deps:
	@CC='$(CC)' sh pipelines/libraries.sh install

# ---- the CUDA plug-in; only `make cuda`, `make all` and the targets of the GPU need nvcc ----
CUDA_HOME ?= /usr/local/cuda
NVCC ?= $(firstword $(wildcard $(CUDA_HOME)/bin/nvcc) nvcc)
# Kernels for the generations with bf16; PTX of the last one serves those to come.
CUDA_ARCH ?= $(foreach a,80 90 100 120,-gencode arch=compute_$(a),code=sm_$(a)) \
    -gencode arch=compute_120,code=compute_120
PLUGIN ?= lib/bertutils/cuda.so
NVCC_FLAGS = -std=c++20 -O3 -Ilib $(CUDA_ARCH) -Werror all-warnings --threads 2 -MMD -MP \
    -Xcompiler -fPIC,-fvisibility=hidden,-Wall,-Wextra -DBERTUTILS_BUILD_ID='"$(BUILD_ID)"'
CUDA_OBJECTS = $(patsubst kernels/cuda/%.cu,$(O)/cuda/%.o,$(wildcard kernels/cuda/*.cu))

cuda: $(PLUGIN)
$(O)/cuda/%.o: kernels/cuda/%.cu
	@mkdir -p $(@D)
	@echo "  NVCC $<"
	$(Q)$(NVCC) $(NVCC_FLAGS) -c -o $@ $<
# The plug-in is complete in itself: of the executable's symbols it sees none.
$(O)/cuda/err.o: lib/err.c
	@mkdir -p $(@D)
	$(SAY_CC)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -fvisibility=hidden -c -o $@ $<
$(PLUGIN): $(CUDA_OBJECTS) $(O)/cuda/err.o kernels/cuda/plugin.map
	@mkdir -p $(@D)
	$(SAY_LINK)
	$(Q)$(NVCC) -shared -cudart static -o $@ $(CUDA_OBJECTS) $(O)/cuda/err.o \
	    -Xlinker --version-script=kernels/cuda/plugin.map -Xlinker -z,defs -Xlinker -z,relro \
	    -Xlinker -rpath,'$$ORIGIN' -Xlinker -rpath,$(CUDA_HOME)/lib64 \
	    -L$(CUDA_HOME)/lib64 -lcublasLt -ldl -lpthread -lrt

# A C unit test is tests/unit/test_X.c; it links everything but another test.
UNITS = $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
unit_objects = $(model) $(call layer,$(L2_TRAIN) $(L5) $(L6))
$(UNITS:%=$(O)/unit/%): $(O)/unit/%: $(O)/tests/unit/%.o $(unit_objects)
	@mkdir -p $(@D)
	$(SAY_LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS_model)

# They unpack the inputs that are kept; the tools load libarchive when they need it.
$(patsubst %,$(O)/unit/test_%,fuzz_input fuzz_tokenizer fuzz_weights sentencepiece): LIBS_model += -larchive

units: $(UNITS:%=$(O)/unit/%) $(O)/faults/faults.so

# What tests/faults.bats preloads; not for a build with sanitizers, which have their own malloc.
$(O)/faults/faults.so: tests/faults/faults.c
	@mkdir -p $(@D)
	$(SAY_LINK)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O1 -g -fPIC -fno-builtin -shared -o $@ $< -ldl

# Small drivers that show the outside judge what no tool prints.
PARITY_TOOLS = $(patsubst tests/parity/%.c,$(O)/parity/%,$(wildcard tests/parity/*.c))
$(PARITY_TOOLS): $(O)/parity/%: $(O)/tests/parity/%.o $(unit_objects)
	@mkdir -p $(@D)
	$(SAY_LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS_model)
parity-tools: $(PARITY_TOOLS)

# Times every slot of the op table (see tests/bench/bench_ops.c for its operands).
$(O)/bench/bench_ops: $(O)/tests/bench/bench_ops.o $(unit_objects)
	@mkdir -p $(@D)
	$(SAY_LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS_model)
bench-ops: $(O)/bench/bench_ops
	@$<

# ---- what users run ----
check: deps
	@$(MAKE) --no-print-directory -j$(JOBS) tools units
	@$(MAKE) --no-print-directory -j$(JOBS) BUNDLE_CUDA=no bundle-folder
	@BERTUTILS_BIN='$(abspath $(BIN))' BERTUTILS_FAULTS='$(abspath $(O))/faults/faults.so' \
	    BERTUTILS_BUNDLE='$(abspath $(BUNDLED))' tests/run -u $(O)/unit $(TESTS)
demo: deps
	@$(MAKE) --no-print-directory -j$(JOBS) tools
	@PATH='$(abspath $(BIN)):'"$$PATH" sh pipelines/demo.sh
parity:
	@$(MAKE) --no-print-directory -j$(JOBS) tools parity-tools
	@BERTUTILS_BIN='$(abspath $(BIN))' PARITY_TOOLS='$(abspath $(O))/parity' sh tests/parity/run
bench:
	@$(MAKE) --no-print-directory -j$(JOBS) tools
	@BERTUTILS_BIN='$(abspath $(BIN))' sh tests/bench/run
# The same tests over a build with the address and undefined-behaviour sanitizers.
SANITIZE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined
check-asan: deps
	@$(MAKE) --no-print-directory -j$(JOBS) O=$(O)-asan BIN=$(O)-asan/bin \
	    CFLAGS='$(SANITIZE)' HARDEN=-fPIE tools units
	@ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions=tests/lsan.supp:print_suppressions=0 \
	    BERTUTILS_SANITIZED=1 BERTUTILS_BIN='$(abspath $(O))-asan/bin' \
	    tests/run -u $(O)-asan/unit $(TESTS)
# Each fuzz target for FUZZ_TIME seconds, from the inputs that are kept (clang's libFuzzer).
FUZZ_TIME ?= 60
FUZZERS = $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
$(FUZZERS:%=$(O)/fuzz/%): $(O)/fuzz/%: tests/fuzz/%.c $(model)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -DFUZZ_MAIN -fsanitize=fuzzer -o $@ $(filter %.c %.o,$^) \
	    $(LIBS_model)
fuzzers: $(FUZZERS:%=$(O)/fuzz/%)
fuzz:
	@$(MAKE) --no-print-directory -j$(JOBS) O=$(O)-fuzz CC=clang HARDEN=-fPIE \
	    CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined' fuzzers
	@sh tests/fuzz/run $(O)-fuzz/fuzz $(FUZZ_TIME) $(FUZZERS)
# What needs a GPU; says `skipped: no device` where there is none.
GPU_TESTS = $(patsubst tests/gpu/%.c,$(O)/gpu/%,$(wildcard tests/gpu/*.c))
$(GPU_TESTS): $(O)/gpu/%: $(O)/tests/gpu/%.o $(unit_objects)
	@mkdir -p $(@D)
	$(SAY_LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS_model)
# The tests of the op table, which can be run on a GPU too.
OP_UNITS = $(filter test_ops%,$(UNITS))
gpu-tests: $(GPU_TESTS)
check-gpu:
	@if [ ! -f $(PLUGIN) ] && ! command -v $(NVCC) >/dev/null; then \
	    echo 'check-gpu: skipped: no nvcc, so no plug-in'; \
	    echo '0 passed, 0 failed, 1 skipped'; exit 0; fi; \
	$(MAKE) --no-print-directory -j$(JOBS) $$(command -v $(NVCC) >/dev/null && echo cuda) \
	    tools units gpu-tests && BERTUTILS_BIN='$(abspath $(BIN))' \
	    BERTUTILS_CUDA='$(abspath $(PLUGIN))' sh tests/gpu/run $(O)/unit $(O)/gpu
# The same, the kernels compiled for the CPU; needs the CUDA headers, a C++ compiler and perl.
# Some eight minutes of a core; the tools need no second order of threads and streams.
check-emu:
	@$(MAKE) --no-print-directory -j$(JOBS) tools units gpu-tests
	@CXX='$(CXX)' CC='$(CC)' CUDA_HOME='$(CUDA_HOME)' sh tests/emu/build $(O)/emu '$(BUILD_ID)'
	@status=0; for order in forward/main reverse/side mixed/turns; do \
	    case $$order in *main) parts='slots graph tools emu';; *side) parts='slots graph';; \
	    *) parts=graph;; esac; echo "== threads, streams: $$order"; \
	    EMU_ORDER=$${order%/*} EMU_STREAMS=$${order#*/} GPU_PARTS=$$parts \
	    BERTUTILS_CUDA='$(abspath $(O))/emu/cuda.so' BERTUTILS_BIN='$(abspath $(BIN))' \
	    BERTUTILS_TEST_SMALL=1 GPU_STEPS=24 GPU_JOBS=$(JOBS) \
	    sh tests/gpu/run $(O)/unit $(O)/gpu || status=1; done; exit $$status
# Speed on a GPU against PyTorch and transformers, if there is a Python with them; BENCH_GPU=--quick.
bench-gpu:
	@if [ ! -f $(PLUGIN) ] && ! command -v $(NVCC) >/dev/null; then \
	    echo 'bench-gpu: skipped: no nvcc, so no plug-in'; exit 0; fi; \
	$(MAKE) --no-print-directory -j$(JOBS) $$(command -v $(NVCC) >/dev/null && echo cuda) \
	    tools gpu-tests $(O)/bench/bench_ops && BERTUTILS_BIN='$(abspath $(BIN))' \
	    BERTUTILS_CUDA='$(abspath $(PLUGIN))' BENCH_OPS='$(abspath $(O))/bench/bench_ops' \
	    GPU_DEVICE_TEST='$(abspath $(O))/gpu/gpu_device' \
	    sh tests/bench/gpu/run --out $(O)/bench-gpu $(BENCH_GPU)
# One folder that runs where nothing can be installed, and a tar.gz of it; the plug-in is in it
# where there is one, or nvcc to make it.  BUNDLE_CUDA=no leaves cublasLt (half a GB) out.
BUNDLE ?= $(O)/bundle
BUNDLE_NAME = bertutils-$(shell sed -n 's/.*_VERSION "\(.*\)"/\1/p' lib/version.h)-$(shell uname -m)
BUNDLED = $(BUNDLE)/$(BUNDLE_NAME)
# Libraries come from beside the executable alone: DT_RPATH also serves what they need in turn.
BUNDLE_LDFLAGS = -Wl,--disable-new-dtags -Wl,-rpath,'$$ORIGIN/../lib'
ifdef RELOCATABLE
$(TOOLS:%=$(BIN)/%): LDFLAGS += $(BUNDLE_LDFLAGS)
endif
BUNDLE_TOOLS = $(TOOLS:%=$(BUNDLED)/bin/%)
BUNDLE_UNITS = $(OP_UNITS:%=$(BUNDLED)/libexec/%)
BUNDLE_GPU = $(patsubst $(O)/gpu/%,$(BUNDLED)/libexec/%,$(GPU_TESTS))
$(BUNDLE_UNITS): $(BUNDLED)/libexec/%: $(O)/tests/unit/%.o $(unit_objects)
$(BUNDLE_GPU): $(BUNDLED)/libexec/%: $(O)/tests/gpu/%.o $(unit_objects)
$(BUNDLED)/libexec/bench_ops: $(O)/tests/bench/bench_ops.o $(unit_objects)
BUNDLE_LIBEXEC = $(BUNDLE_UNITS) $(BUNDLE_GPU) $(BUNDLED)/libexec/bench_ops
$(BUNDLE_LIBEXEC):
	@mkdir -p $(@D)
	$(SAY_LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(BUNDLE_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS_model)
bundle-programs: $(BUNDLE_LIBEXEC)
	@rm -rf $(filter-out $(BUNDLE_LIBEXEC) $(BUNDLE_TOOLS),$(wildcard $(BUNDLED)/libexec/* \
	    $(BUNDLED)/bin/*))
	@$(MAKE) --no-print-directory BIN='$(BUNDLED)/bin' RELOCATABLE=yes tools
bundle-folder: bundle-programs
	@CUDA_HOME='$(CUDA_HOME)' BUNDLE_CUDA='$(BUNDLE_CUDA)' sh pipelines/bundle.sh fill $(BUNDLED) \
	    $(wildcard $(PLUGIN))
bundle:
	@if command -v $(NVCC) >/dev/null || [ -f $(PLUGIN) ]; then \
	    $(MAKE) --no-print-directory -j$(JOBS) cuda; fi
	@$(MAKE) --no-print-directory -j$(JOBS) bundle-folder
	@sh pipelines/bundle.sh pack $(BUNDLED)
lint:
	@sh tests/lint.sh

MAN1 = $(wildcard man/*.1)
MAN5 = $(wildcard man/*.5)
MAN7 = $(wildcard man/*.7)
install: tools
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/man/man1" \
	    "$(DESTDIR)$(PREFIX)/share/man/man5" "$(DESTDIR)$(PREFIX)/share/man/man7"
	install -m 755 $(TOOLS:%=$(BIN)/%) "$(DESTDIR)$(PREFIX)/bin"
	[ ! -f $(PLUGIN) ] || install -D -m 755 $(PLUGIN) \
	    "$(DESTDIR)$(PREFIX)/lib/bertutils/cuda.so"
	install -m 644 $(MAN1) "$(DESTDIR)$(PREFIX)/share/man/man1"
	install -m 644 $(MAN5) "$(DESTDIR)$(PREFIX)/share/man/man5"
	install -m 644 $(MAN7) "$(DESTDIR)$(PREFIX)/share/man/man7"
uninstall:
	cd "$(DESTDIR)$(PREFIX)/bin" && rm -f $(TOOLS)
	rm -f "$(DESTDIR)$(PREFIX)/lib/bertutils/cuda.so"
	cd "$(DESTDIR)$(PREFIX)/share/man" && rm -f $(MAN1:man/%=man1/%) $(MAN5:man/%=man5/%) \
	    $(MAN7:man/%=man7/%)
clean:
	rm -rf $(O) $(O)-asan $(TOOLS:%=$(BIN)/%) $(PLUGIN)

.PHONY: all tools cuda gpu-tests check-gpu check-emu bench-gpu bundle bundle-folder \
        bundle-programs units deps check check-asan demo parity parity-tools bench bench-ops fuzz fuzzers lint install uninstall clean
-include $(shell find $(O) -name '*.d' 2>/dev/null)
