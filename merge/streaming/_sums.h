/* The sums of _kernels.c, compiled once per instruction set under names that NAMED makes. */

static inline float NAMED(float_of)(uint32_t bits) { float value; memcpy(&value, &bits, 4); return value; }
static inline uint32_t NAMED(bits_of)(float value) { uint32_t bits; memcpy(&bits, &value, 4); return bits; }

/* Exact conversions; `bad` remembers whether anything was not finite. */

static inline float NAMED(from_bfloat16)(uint16_t from, uint32_t *bad) {
    uint32_t bits = (uint32_t)from << 16;
    *bad |= (bits & 0x7F800000u) == 0x7F800000u;
    return NAMED(float_of)(bits);
}

static inline float NAMED(from_float16)(uint16_t from, uint32_t *bad) {
    uint32_t half = from;
    *bad |= (half & 0x7C00u) == 0x7C00u;
    float size = NAMED(float_of)((half & 0x7FFFu) << 13) * 0x1p112f; /* the biases differ by 112 */
    return NAMED(float_of)(NAMED(bits_of)(size) | (half & 0x8000u) << 16);
}

static inline double NAMED(from_float32)(float from, uint32_t *bad) {
    *bad |= (NAMED(bits_of)(from) & 0x7F800000u) == 0x7F800000u;
    return (double)from;
}

/* Rounding to nearest even. */

static inline uint16_t NAMED(to_bfloat16)(float sum, uint32_t *bad) {
    uint32_t bits = NAMED(bits_of)(sum);
    uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    *bad |= (rounded & 0x7F80u) == 0x7F80u;
    return (uint16_t)rounded;
}

static inline uint16_t NAMED(to_float16)(float sum, uint32_t *bad) {
    uint32_t bits = NAMED(bits_of)(sum), size = bits & 0x7FFFFFFFu;
    uint32_t biased = size - (112u << 23);
    uint32_t normal = (biased + 0xFFFu + ((biased >> 13) & 1u)) >> 13;
    uint32_t subnormal = NAMED(bits_of)(NAMED(float_of)(size) + 0.5f) - 0x3F000000u; /* one unit of 0.5 is 2^-24 */
    uint32_t half = (int32_t)size < 0x38800000 ? subnormal : normal; /* signed compares exist in every set */
    *bad |= (int32_t)size >= 0x477FF000; /* from 65520 on the nearest is infinity */
    return (uint16_t)(half | (bits >> 16 & 0x8000u));
}

static inline float NAMED(to_float32)(double sum, uint32_t *bad) {
    float rounded = (float)sum;
    *bad |= (NAMED(bits_of)(rounded) & 0x7F800000u) == 0x7F800000u;
    return rounded;
}

/* Each sum returns whether everything read and written was finite; if not, the output is worth nothing. */

#define WEIGHTED_SUM(name, element, number) \
static int NAMED(sum_##name)(const Inputs *in, element *out, size_t n) { \
    number sum[STRIP], base[STRIP]; \
    uint32_t bad = 0; \
    for (size_t start = 0; start < n; start += STRIP) { \
        size_t length = n - start < STRIP ? n - start : STRIP; \
        const element *origin = in->base ? (const element *)in->base + start : NULL; \
        for (size_t i = 0; origin && i < length; i++) base[i] = NAMED(from_##name)(origin[i], &bad); \
        for (int model = 0; model < in->count; model++) { \
            const element *from = (const element *)in->data[model] + start; \
            const number weight = (number)in->weights[model]; \
            if (origin && model) \
                for (size_t i = 0; i < length; i++) sum[i] += (NAMED(from_##name)(from[i], &bad) - base[i]) * weight; \
            else if (origin) \
                for (size_t i = 0; i < length; i++) sum[i] = (NAMED(from_##name)(from[i], &bad) - base[i]) * weight; \
            else if (model) \
                for (size_t i = 0; i < length; i++) sum[i] += NAMED(from_##name)(from[i], &bad) * weight; \
            else \
                for (size_t i = 0; i < length; i++) sum[i] = NAMED(from_##name)(from[i], &bad) * weight; \
        } \
        for (size_t i = 0; origin && i < length; i++) sum[i] += base[i]; \
        for (size_t i = 0; i < length; i++) out[start + i] = NAMED(to_##name)(sum[i], &bad); \
    } \
    return !bad; \
}

WEIGHTED_SUM(bfloat16, uint16_t, float)
WEIGHTED_SUM(float16, uint16_t, float)
WEIGHTED_SUM(float32, float, double)
#undef WEIGHTED_SUM

/* Convert exactly, less a base where there is one. */
#define CONVERT(name, element, number) \
static void NAMED(convert_##name)(const element *from, const number *base, number *out, size_t n) { \
    uint32_t bad = 0; \
    if (base) \
        for (size_t i = 0; i < n; i++) out[i] = NAMED(from_##name)(from[i], &bad) - base[i]; \
    else \
        for (size_t i = 0; i < n; i++) out[i] = NAMED(from_##name)(from[i], &bad); \
}

CONVERT(bfloat16, uint16_t, float)
CONVERT(float16, uint16_t, float)
CONVERT(float32, float, double)
#undef CONVERT

/* Round an array; tell whether all of the outcome was finite. */
#define ROUND(name, element, number) \
static int NAMED(round_##name)(const number *from, element *out, size_t n) { \
    uint32_t bad = 0; \
    for (size_t i = 0; i < n; i++) out[i] = NAMED(to_##name)(from[i], &bad); \
    return !bad; \
}

ROUND(bfloat16, uint16_t, float)
ROUND(float16, uint16_t, float)
ROUND(float32, float, double)
#undef ROUND
