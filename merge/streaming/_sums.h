/* The loops of _kernels.c, compiled once per instruction set under names that NAMED makes. */

static inline float NAMED(float_of)(uint32_t bits) { float value; memcpy(&value, &bits, 4); return value; }
static inline uint32_t NAMED(bits_of)(float value) { uint32_t bits; memcpy(&bits, &value, 4); return bits; }

/* Each sum returns whether everything read and written was finite; if not, the output is worth nothing. */

static int NAMED(sum_bfloat16)(const Inputs *in, uint16_t *out, size_t n) {
    float sum[STRIP];
    uint32_t bad = 0;
    for (size_t start = 0; start < n; start += STRIP) {
        size_t length = n - start < STRIP ? n - start : STRIP;
        for (int model = 0; model < in->count; model++) {
            const uint16_t *from = (const uint16_t *)in->data[model] + start;
            const float weight = (float)in->weights[model];
            for (size_t i = 0; i < length; i++) {
                uint32_t bits = (uint32_t)from[i] << 16;
                bad |= (bits & 0x7F800000u) == 0x7F800000u;
                float product = NAMED(float_of)(bits) * weight;
                sum[i] = model ? sum[i] + product : product;
            }
        }
        for (size_t i = 0; i < length; i++) {
            uint32_t bits = NAMED(bits_of)(sum[i]);
            uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
            bad |= (rounded & 0x7F80u) == 0x7F80u;
            out[start + i] = (uint16_t)rounded;
        }
    }
    return !bad;
}

static int NAMED(sum_float16)(const Inputs *in, uint16_t *out, size_t n) {
    float sum[STRIP];
    uint32_t bad = 0;
    for (size_t start = 0; start < n; start += STRIP) {
        size_t length = n - start < STRIP ? n - start : STRIP;
        for (int model = 0; model < in->count; model++) {
            const uint16_t *from = (const uint16_t *)in->data[model] + start;
            const float weight = (float)in->weights[model];
            for (size_t i = 0; i < length; i++) {
                uint32_t half = from[i];
                bad |= (half & 0x7C00u) == 0x7C00u;
                float size = NAMED(float_of)((half & 0x7FFFu) << 13) * 0x1p112f; /* the biases differ by 112 */
                float product = NAMED(float_of)(NAMED(bits_of)(size) | (half & 0x8000u) << 16) * weight;
                sum[i] = model ? sum[i] + product : product;
            }
        }
        for (size_t i = 0; i < length; i++) {
            uint32_t bits = NAMED(bits_of)(sum[i]), size = bits & 0x7FFFFFFFu;
            uint32_t biased = size - (112u << 23);
            uint32_t normal = (biased + 0xFFFu + ((biased >> 13) & 1u)) >> 13;
            uint32_t subnormal = NAMED(bits_of)(NAMED(float_of)(size) + 0.5f) - 0x3F000000u; /* one unit of 0.5 is 2^-24 */
            uint32_t half = (int32_t)size < 0x38800000 ? subnormal : normal; /* signed compares exist in every set */
            bad |= (int32_t)size >= 0x477FF000; /* from 65520 on the nearest is infinity */
            out[start + i] = (uint16_t)(half | (bits >> 16 & 0x8000u));
        }
    }
    return !bad;
}

static int NAMED(sum_float32)(const Inputs *in, float *out, size_t n) {
    double sum[STRIP];
    uint32_t bad = 0;
    for (size_t start = 0; start < n; start += STRIP) {
        size_t length = n - start < STRIP ? n - start : STRIP;
        for (int model = 0; model < in->count; model++) {
            const float *from = (const float *)in->data[model] + start;
            const double weight = in->weights[model];
            for (size_t i = 0; i < length; i++) {
                bad |= (NAMED(bits_of)(from[i]) & 0x7F800000u) == 0x7F800000u;
                double product = (double)from[i] * weight;
                sum[i] = model ? sum[i] + product : product;
            }
        }
        for (size_t i = 0; i < length; i++) {
            float rounded = (float)sum[i];
            bad |= (NAMED(bits_of)(rounded) & 0x7F800000u) == 0x7F800000u;
            out[start + i] = rounded;
        }
    }
    return !bad;
}
