/* Fused element-wise kernels for float and bfloat16; see rows.h. Arithmetic is in float. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint16_t bfloat16;

#define INLINE static inline __attribute__((always_inline))

INLINE float bits_to_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE uint32_t float_to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

INLINE float load_float(const float *p) { return *p; }
INLINE void store_float(float *p, float value) { *p = value; }
INLINE float load_bfloat16(const bfloat16 *p) { return bits_to_float((uint32_t)*p << 16); }

/* Round to nearest, ties to even. */
INLINE void store_bfloat16(bfloat16 *p, float value) {
    uint32_t bits = float_to_bits(value);
    *p = (bfloat16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* e^x, relative error about 1e-7 (the polynomial of the Cephes library). */
INLINE float exponential(float x) {
    x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    float whole = floorf(x * 1.44269504088896341f + 0.5f);
    float rest = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    float sum = 1.9875691500e-4f;
    sum = sum * rest + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * rest * rest + rest + 1.0f;
    return sum * bits_to_float((uint32_t)((int32_t)whole + 127) << 23);
}

/* Normal distribution function, absolute error about 1e-7 (Abramowitz & Stegun, 7.1.26), and the
   density's e^(-x^2/2), which its derivation yields on the way. */
INLINE float normal_cdf(float x, float *bell) {
    float z = fabsf(x) * 0.70710678118654752f;
    float t = 1.0f / (1.0f + 0.3275911f * z);
    float sum = 1.061405429f;
    sum = sum * t - 1.453152027f;
    sum = sum * t + 1.421413741f;
    sum = sum * t - 0.284496736f;
    sum = sum * t + 0.254829592f;
    *bell = exponential(-z * z);
    float tail = 0.5f * sum * t * *bell;
    return x < 0 ? tail : 1.0f - tail;
}

/* The two halves of a row's seed, by splitmix64 (Steele et al. 2014). */
INLINE uint64_t row_seed(uint64_t seed, int64_t row) {
    uint64_t z = seed + ((uint64_t)row + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 1 / (1 - rate) with probability 1 - rate, else 0: `threshold` is rate * 2^32. The 32 random bits
   depend on the row's seed and the column alone, so that the backward pass finds them again. */
INLINE float kept(uint64_t seed, uint32_t column, uint32_t threshold, float scale) {
    uint32_t x = (uint32_t)seed + column * 0x9e3779b9u;
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x ^= (uint32_t)(seed >> 32);
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    x ^= x >> 16;
    return x >= threshold ? scale : 0.0f;
}

typedef struct {
    uint64_t seed;
    uint32_t threshold; /* 0: nothing is dropped */
    float scale;
} dropout;

/* Lane by lane: a compiler that must respect not-a-number takes one maximum after another. */
static float largest(int n, const float *x) {
    enum { LANES = 16 };
    float lanes[LANES];
    for (int l = 0; l < LANES; l++)
        lanes[l] = -INFINITY;
    int j = 0;
    for (; j + LANES <= n; j += LANES)
        for (int l = 0; l < LANES; l++)
            lanes[l] = x[j + l] > lanes[l] ? x[j + l] : lanes[l];
    for (; j < n; j++)
        lanes[0] = x[j] > lanes[0] ? x[j] : lanes[0];
    for (int l = 1; l < LANES; l++)
        lanes[0] = lanes[l] > lanes[0] ? lanes[l] : lanes[0];
    return lanes[0];
}

/* What an element is turned into on its way to the heads. */
enum { IDENTITY, ELU_PLUS_ONE, RELU, SQUARED_RELU };

INLINE float feature(int kind, float x) {
    switch (kind) {
    case ELU_PLUS_ONE: return exponential(x < 0 ? x : 0) + (x > 0 ? x : 0);
    case RELU: return x > 0 ? x : 0;
    case SQUARED_RELU: return x > 0 ? x * x : 0;
    default: return x;
    }
}

/* The slope, from the result. */
INLINE float feature_slope(int kind, float y) {
    switch (kind) {
    case ELU_PLUS_ONE: return y < 1 ? y : 1;
    case RELU: return y > 0 ? 1 : 0;
    case SQUARED_RELU: return 2 * sqrtf(y);
    default: return 1;
    }
}

/* Runs the rest with WIDTH a constant for the usual numbers of channels, so that its loops unroll. */
#define FOR_WIDTH(width, ...)                        \
    switch (width) {                            \
    case 32: { enum { WIDTH = 32 }; __VA_ARGS__; } break;   \
    case 64: { enum { WIDTH = 64 }; __VA_ARGS__; } break;   \
    case 128: { enum { WIDTH = 128 }; __VA_ARGS__; } break; \
    case 256: { enum { WIDTH = 256 }; __VA_ARGS__; } break; \
    case 512: { enum { WIDTH = 512 }; __VA_ARGS__; } break; \
    default: { const int WIDTH = (width); __VA_ARGS__; } break; \
    }

/* The same for KIND: within a parallel region, where constants do not reach from outside. */
#define FOR_KIND(kind, ...)                                                   \
    switch (kind) {                                                            \
    case ELU_PLUS_ONE: { enum { KIND = ELU_PLUS_ONE }; __VA_ARGS__; } break;          \
    case RELU: { enum { KIND = RELU }; __VA_ARGS__; } break;                          \
    case SQUARED_RELU: { enum { KIND = SQUARED_RELU }; __VA_ARGS__; } break;          \
    default: { enum { KIND = IDENTITY }; __VA_ARGS__; } break;                        \
    }

#define MAXIMUM_WIDTH 4096

/* Sums over rows are taken in float over so many rows, and over those blocks in double. */
#define ROWS_A_BLOCK 64

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Each thread's sums lie `apart` doubles after the last one's. */
static void sum_over_threads(int threads, int apart, int width, const double *partial,
                             float *result) {
    for (int j = 0; j < width; j++) {
        double sum = 0;
        for (int thread = 0; thread < threads; thread++)
            sum += partial[(int64_t)thread * apart + j];
        result[j] = (float)sum;
    }
}

#define T float
#define LOAD load_float
#define STORE store_float
#define NAME(name) name##_float32
#include "rows.h"
#undef T
#undef LOAD
#undef STORE
#undef NAME

#define T bfloat16
#define LOAD load_bfloat16
#define STORE store_bfloat16
#define NAME(name) name##_bfloat16
#include "rows.h"
