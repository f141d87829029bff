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

/* Write the magnitudes whose bits from a shift upwards equal the prefix; return how many. */
static size_t LANED(matching)(const REAL *from, size_t n, REAL *out, int shift, uint64_t prefix) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        BITS bits;
        memcpy(&bits, &from[i], sizeof bits);
        bits &= (BITS)-1 >> 1;
        memcpy(&out[found], &bits, sizeof bits);
        found += bits >> shift == (BITS)prefix;
    }
    return found;
}

/* Multiply by 0 what is smaller than a magnitude. */
static void LANED(trim)(REAL *array, size_t n, REAL least) {
    for (size_t i = 0; i < n; i++) {
        REAL size = array[i] < 0 ? -array[i] : array[i];
        array[i] = size >= least ? array[i] : array[i] * 0;
    }
}

/* The sum of what agrees with the weighted majority; see merge/arithmetic/consensus.py. Overwrites the first array. */
static void LANED(agree)(REAL *const *arrays, const double *weights, int count, size_t n, int normalize) {
    REAL votes[STRIP], total[STRIP], divisor[STRIP];
    for (size_t start = 0; start < n; start += STRIP) {
        size_t length = n - start < STRIP ? n - start : STRIP;
        for (size_t i = 0; i < length; i++) votes[i] = total[i] = divisor[i] = 0;
        for (int model = 0; model < count; model++) {
            REAL *array = arrays[model] + start, weight = (REAL)weights[model];
            for (size_t i = 0; i < length; i++) votes[i] += array[i] *= weight;
        }
        for (size_t i = 0; i < length; i++) votes[i] = votes[i] < 0 ? -1 : 1;
        for (int model = 0; model < count; model++) {
            REAL *array = arrays[model] + start, weight = (REAL)weights[model];
            for (size_t i = 0; i < length; i++) {
                REAL value = array[i] * votes[i];
                divisor[i] += value > 0 ? weight : 0;
                total[i] += value <= 0 ? 0 : value;
            }
        }
        for (size_t i = 0; i < length; i++) {
            REAL sum = total[i] * votes[i];
            arrays[0][start + i] = normalize ? sum / (divisor[i] == 0 ? 1 : divisor[i]) : sum;
        }
    }
}
