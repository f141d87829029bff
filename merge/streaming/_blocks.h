/* Loops over blocks of numbers of _kernels.c, compiled once per instruction set under names that NAMED makes.
 *
 * REAL is float or double, BITS the unsigned type of its width, LANED(name) a name for that type.
 */

/* An inner product in float64: entry i is added to lane i % LANES, then the lanes in their order. */
static double LANED(inner)(const REAL *first, const REAL *second, size_t n) {
    double lanes[LANES] = {0}, total = 0;
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            lanes[lane] += (double)first[i + lane] * (double)second[i + lane];
    for (size_t i = whole; i < n; i++) lanes[i - whole] += (double)first[i] * (double)second[i];
    for (size_t lane = 0; lane < LANES; lane++) total += lanes[lane];
    return total;
}

/* Count, among magnitudes whose bits above shift + 16 equal the prefix, the values of the 16 bits from shift. */
static void LANED(digits)(const REAL *from, size_t n, int64_t *counts, int shift, uint64_t prefix) {
    const int width = 8 * (int)sizeof(BITS);
    for (size_t i = 0; i < n; i++) {
        BITS bits;
        memcpy(&bits, &from[i], sizeof bits);
        bits &= (BITS)-1 >> 1;
        if (shift + 16 == width || bits >> (shift + 16) == (BITS)prefix) counts[bits >> shift & 0xFFFF]++;
    }
}

/* Mark the magnitudes whose bits from a shift upwards equal the prefix. */
static SEPARATE void LANED(mark)(uint8_t *restrict marks, const REAL *restrict from, size_t n, int shift, BITS prefix) {
    for (size_t i = 0; i < n; i++) {
        BITS bits;
        memcpy(&bits, &from[i], sizeof bits);
        marks[i] = (bits & (BITS)-1 >> 1) >> shift == prefix;
    }
}

/* Write those magnitudes; return how many. They are few: eight marks are looked at at once. */
static size_t LANED(matching)(const REAL *from, size_t n, REAL *out, int shift, uint64_t prefix) {
    uint8_t marks[STRIP] = {0};
    size_t found = 0;
    for (size_t start = 0; start < n; start += STRIP) {
        size_t length = n - start < STRIP ? n - start : STRIP;
        LANED(mark)(marks, from + start, length, shift, (BITS)prefix);
        for (size_t eight = 0; eight < length; eight += 8) {
            uint64_t any;
            memcpy(&any, &marks[eight], 8);
            for (size_t i = eight; any && i < eight + 8 && i < length; i++) {
                BITS bits;
                memcpy(&bits, &from[start + i], sizeof bits);
                bits &= (BITS)-1 >> 1;
                memcpy(&out[found], &bits, sizeof bits);
                found += marks[i];
            }
        }
    }
    return found;
}

/* Multiply by 0 what is not above a magnitude (or below it), or equal to it where those are kept. */
static void LANED(keep)(REAL *array, size_t n, REAL bound, int above, int equal) {
    for (size_t i = 0; i < n; i++) {
        REAL size = array[i] < 0 ? -array[i] : array[i];
        int kept = (above & (size > bound)) | (!above & (size < bound)) | (equal & (size == bound));
        array[i] = kept ? array[i] : array[i] * 0;
    }
}

/* Add weighted numbers. */
static SEPARATE void LANED(add)(REAL *restrict votes, const REAL *restrict array, REAL weight, size_t n) {
    for (size_t i = 0; i < n; i++) votes[i] += array[i] * weight;
}

/* Add the weighted numbers that have a sign, 1 or -1, and the weight of those that are not 0. */
static SEPARATE void LANED(add_agreeing)(REAL *restrict total, REAL *restrict divisor, const REAL *restrict signs,
                                         const REAL *restrict array, REAL weight, size_t n) {
    for (size_t i = 0; i < n; i++) {
        REAL value = array[i] * weight * signs[i];
        REAL share = value > 0 ? weight : 0, part = value <= 0 ? 0 : value;
        divisor[i] += share;
        total[i] += part;
    }
}

/* The sum of what agrees with the weighted majority; see merge/arithmetic/consensus.py. Overwrites the first array. */
static void LANED(agree)(REAL *const *arrays, const double *weights, int count, size_t n, int normalize) {
    REAL signs[STRIP], total[STRIP], divisor[STRIP];
    for (size_t start = 0; start < n; start += STRIP) {
        size_t length = n - start < STRIP ? n - start : STRIP;
        for (size_t i = 0; i < length; i++) signs[i] = total[i] = divisor[i] = 0;
        for (int model = 0; model < count; model++)
            LANED(add)(signs, arrays[model] + start, (REAL)weights[model], length);
        for (size_t i = 0; i < length; i++) signs[i] = signs[i] < 0 ? -1 : 1;
        for (int model = 0; model < count; model++)
            LANED(add_agreeing)(total, divisor, signs, arrays[model] + start, (REAL)weights[model], length);
        REAL *out = arrays[0] + start;
        for (size_t i = 0; i < length; i++) total[i] *= signs[i];
        for (size_t i = 0; i < length; i++) out[i] = total[i] / (normalize && divisor[i] != 0 ? divisor[i] : 1);
    }
}
