/* The kernels for elements of type T. Every array is contiguous unless strides are given; a row is
   `width` neighbouring elements. `threads` is the number of OpenMP threads. */

/* --- dropout, alone and after GELU ------------------------------------------------------------ */

INLINE void NAME(dropout_row)(int width, const T *x, T *y, uint64_t seed, dropout drop) {
    for (int j = 0; j < width; j++)
        STORE(y + j, LOAD(x + j) * kept(seed, j, drop.threshold, drop.scale));
}

/* y = x with elements dropped. Its own backward: the mask depends on place and seed alone. */
void NAME(dropout)(int64_t rows, int width, const T *x, T *y, dropout drop, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < rows; i++)
        FOR_WIDTH(width, NAME(dropout_row)(WIDTH, x + i * WIDTH, y + i * WIDTH,
                                           row_seed(drop.seed, i), drop))
}

INLINE void NAME(gelu_row)(int width, const T *x, const float *bias, T *y, T *slope,
                           uint64_t seed, dropout drop) {
    for (int j = 0; j < width; j++) {
        float bell, value = LOAD(x + j) + bias[j];
        float factor = kept(seed, j, drop.threshold, drop.scale);
        float cdf = normal_cdf(value, &bell);
        STORE(y + j, value * cdf * factor);
        STORE(slope + j, (cdf + value * bell * 0.39894228040143268f) * factor);
    }
}

/* y = dropout(gelu(x + bias)), and the slope dy / dx: found on the way, and costly to find again. */
void NAME(gelu_dropout)(int64_t rows, int width, const T *x, const float *bias, T *y, T *slope,
                        dropout drop, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < rows; i++)
        FOR_WIDTH(width, NAME(gelu_row)(WIDTH, x + i * WIDTH, bias, y + i * WIDTH,
                                        slope + i * WIDTH, row_seed(drop.seed, i), drop))
}

INLINE void NAME(slope_row)(int width, const T *dy, const T *slope, T *dx, float *sums) {
    for (int j = 0; j < width; j++) {
        float grad = LOAD(dy + j) * LOAD(slope + j);
        STORE(dx + j, grad);
        sums[j] += grad;
    }
}

/* dx = dy * slope, and its sum over rows. `partial` holds `width` doubles a thread. */
void NAME(gelu_dropout_backward)(int64_t rows, int width, const T *dy, const T *slope, T *dx,
                                 double *partial, float *d_bias, int threads) {
    int64_t share = (rows + threads - 1) / threads;
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int thread = 0; thread < threads; thread++) {
        double *sums = partial + (int64_t)thread * width;
        float local[MAXIMUM_WIDTH];
        memset(sums, 0, width * sizeof *sums);
        int64_t last = least(rows, (thread + 1) * share);
        for (int64_t first = thread * share; first < last; first += ROWS_A_BLOCK) {
            memset(local, 0, width * sizeof *local);
            for (int64_t i = first; i < least(last, first + ROWS_A_BLOCK); i++)
                FOR_WIDTH(width, NAME(slope_row)(WIDTH, dy + i * WIDTH, slope + i * WIDTH,
                                                 dx + i * WIDTH, local))
            for (int j = 0; j < width; j++)
                sums[j] += local[j];
        }
    }
    sum_over_threads(threads, width, width, partial, d_bias);
}

/* --- residual connection with dropout, and the norm that follows ------------------------------ */

INLINE void NAME(norm_row)(int width, const T *x, const T *branch, T *sum, T *normed, float *mean,
                           float *scale, const float *gain, const float *shift, float epsilon,
                           uint64_t seed, dropout drop) {
    float value[MAXIMUM_WIDTH], total = 0, squares = 0;
    if (branch) {
        for (int j = 0; j < width; j++) {
            float kept_branch = LOAD(branch + j) * kept(seed, j, drop.threshold, drop.scale);
            STORE(sum + j, LOAD(x + j) + kept_branch);
        }
        x = sum;
    }
    for (int j = 0; j < width; j++) {
        value[j] = LOAD(x + j);
        total += value[j];
    }
    float centre = total / width;
    for (int j = 0; j < width; j++) {
        value[j] -= centre;
        squares += value[j] * value[j];
    }
    float factor = 1.0f / sqrtf(squares / width + epsilon);
    for (int j = 0; j < width; j++)
        STORE(normed + j, value[j] * factor * gain[j] + shift[j]);
    *mean = centre;
    *scale = factor;
}

/* sum = x + dropout(branch); normed = layer norm of sum. Without branch, sum is x and not written.
   `means` and `scales` (1 / deviation) have one entry a row, for the backward pass. */
void NAME(residual_norm)(int64_t rows, int width, const T *x, const T *branch, T *sum, T *normed,
                         float *means, float *scales, const float *gain, const float *shift,
                         float epsilon, dropout drop, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < rows; i++)
        FOR_WIDTH(width, NAME(norm_row)(WIDTH, x + i * WIDTH, branch ? branch + i * WIDTH : 0,
                                        sum + i * WIDTH, normed + i * WIDTH, means + i, scales + i,
                                        gain, shift, epsilon, row_seed(drop.seed, i), drop))
}

INLINE void NAME(norm_grad_row)(int width, const T *sum, float mean, float scale, const float *gain,
                                const T *d_sum, const T *d_normed, T *dx, T *d_branch,
                                float *d_gain, float *d_shift, uint64_t seed, dropout drop) {
    float unit[MAXIMUM_WIDTH], grad[MAXIMUM_WIDTH], total = 0, along = 0;
    for (int j = 0; j < width; j++) {
        float d = LOAD(d_normed + j);
        unit[j] = (LOAD(sum + j) - mean) * scale;
        d_gain[j] += d * unit[j];
        d_shift[j] += d;
        grad[j] = d * gain[j];
        total += grad[j];
        along += grad[j] * unit[j];
    }
    total /= width;
    along /= width;
    for (int j = 0; j < width; j++)
        grad[j] = scale * (grad[j] - total - unit[j] * along);
    if (d_sum)
        for (int j = 0; j < width; j++)
            grad[j] += LOAD(d_sum + j);
    for (int j = 0; j < width; j++)
        STORE(dx + j, grad[j]);
    if (d_branch)
        for (int j = 0; j < width; j++)
            STORE(d_branch + j, grad[j] * kept(seed, j, drop.threshold, drop.scale));
}

/* Gradients of x and branch (where there is one), and, summed over rows, of gain and shift.
   `d_sum` may be null. `partial` holds 2 * width doubles a thread. */
void NAME(residual_norm_backward)(int64_t rows, int width, const T *sum, const float *means,
                                  const float *scales, const float *gain, const T *d_sum,
                                  const T *d_normed, T *dx, T *d_branch, double *partial,
                                  float *d_gain, float *d_shift, dropout drop, int threads) {
    int64_t share = (rows + threads - 1) / threads;
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int thread = 0; thread < threads; thread++) {
        double *sums = partial + (int64_t)thread * 2 * width;
        float local[2 * MAXIMUM_WIDTH];
        memset(sums, 0, 2 * width * sizeof *sums);
        int64_t last = least(rows, (thread + 1) * share);
        for (int64_t first = thread * share; first < last; first += ROWS_A_BLOCK) {
            memset(local, 0, 2 * width * sizeof *local);
            for (int64_t i = first; i < least(last, first + ROWS_A_BLOCK); i++)
                FOR_WIDTH(width,
                          NAME(norm_grad_row)(WIDTH, sum + i * WIDTH, means[i], scales[i], gain,
                                              d_sum ? d_sum + i * WIDTH : 0, d_normed + i * WIDTH,
                                              dx + i * WIDTH, d_branch ? d_branch + i * WIDTH : 0,
                                              local, local + WIDTH, row_seed(drop.seed, i), drop))
            for (int j = 0; j < 2 * width; j++)
                sums[j] += local[j];
        }
    }
    sum_over_threads(threads, 2 * width, width, partial, d_gain);
    sum_over_threads(threads, 2 * width, width, partial + width, d_shift);
}

/* --- from tokens to heads and back -------------------------------------------------------------- */

INLINE void NAME(feature_row)(int kind, int width, int columns, const T *x, float real, T *y) {
    for (int j = 0; j < width; j++)
        STORE(y + j, feature(kind, LOAD(x + j)) * real);
    if (columns > width)
        STORE(y + width, real);
    for (int j = width + 1; j < columns; j++)
        STORE(y + j, 0.0f);
}

/* y[b, h, i] = feature(x[b, h, i]) * real[b, i], x read by its strides. With one column more than x
   has channels, that one is real[b, i]: weighed like the values, it sums the weights. */
void NAME(features)(int kind, int64_t batch, int64_t heads, int64_t n, int width, int columns,
                    const T *x, int64_t by_batch, int64_t by_head, int64_t by_token, const T *real,
                    T *y, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < batch * n; i++) {
        int64_t b = i / n, token = i % n;
        float here = real ? LOAD(real + i) : 1.0f;
        for (int64_t h = 0; h < heads; h++) {
            const T *from = x + b * by_batch + h * by_head + token * by_token;
            T *to = y + ((b * heads + h) * n + token) * columns;
            FOR_KIND(kind,
                     FOR_WIDTH(width, NAME(feature_row)(KIND, WIDTH, columns, from, here, to)))
        }
    }
}

INLINE void NAME(feature_grad_row)(int kind, int width, const T *y, const T *dy, float real,
                                   T *dx) {
    for (int j = 0; j < width; j++)
        STORE(dx + j, LOAD(dy + j) * feature_slope(kind, LOAD(y + j)) * real);
}

/* dx lies as (batch, n, heads, width), which is how projections want it. With `real`, `kind` must
   be the identity: the slope is found from the result. */
void NAME(features_backward)(int kind, int64_t batch, int64_t heads, int64_t n, int width,
                             int columns, const T *y, const T *dy, const T *real, T *dx,
                             int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < batch * n; i++) {
        int64_t b = i / n, token = i % n;
        float here = real ? LOAD(real + i) : 1.0f;
        for (int64_t h = 0; h < heads; h++) {
            int64_t at = ((b * heads + h) * n + token) * columns;
            T *to = dx + (i * heads + h) * width;
            FOR_KIND(kind, FOR_WIDTH(width, NAME(feature_grad_row)(KIND, WIDTH, y + at, dy + at,
                                                                   here, to)))
        }
    }
}

/* The same for queries, keys and values that lie side by side in `joint`, (batch, n, 3, heads,
   width), in one pass over it. */
void NAME(joint_features)(int kind, int64_t batch, int64_t heads, int64_t n, int width, int columns,
                          const T *joint, const T *real, T *q, T *k, T *v, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < batch * n; i++) {
        int64_t b = i / n, token = i % n;
        float here = real ? LOAD(real + i) : 1.0f;
        for (int64_t h = 0; h < heads; h++) {
            const T *from = joint + (3 * i * heads + h) * width;
            int64_t row = (b * heads + h) * n + token, part = heads * width;
            FOR_KIND(kind, FOR_WIDTH(width, {
                NAME(feature_row)(KIND, WIDTH, WIDTH, from, 1.0f, q + row * WIDTH);
                NAME(feature_row)(KIND, WIDTH, WIDTH, from + part, 1.0f, k + row * WIDTH);
                NAME(feature_row)(IDENTITY, WIDTH, columns, from + 2 * part, here,
                                  v + row * columns);
            }))
        }
    }
}

void NAME(joint_features_backward)(int kind, int64_t batch, int64_t heads, int64_t n, int width,
                                   int columns, const T *q, const T *k, const T *dq, const T *dk,
                                   const T *dv, const T *real, T *d_joint, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < batch * n; i++) {
        int64_t b = i / n, token = i % n;
        float here = real ? LOAD(real + i) : 1.0f;
        for (int64_t h = 0; h < heads; h++) {
            T *to = d_joint + (3 * i * heads + h) * width;
            int64_t row = (b * heads + h) * n + token, part = heads * width;
            FOR_KIND(kind, FOR_WIDTH(width, {
                int64_t at = row * WIDTH;
                NAME(feature_grad_row)(KIND, WIDTH, q + at, dq + at, 1.0f, to);
                NAME(feature_grad_row)(KIND, WIDTH, k + at, dk + at, 1.0f, to + part);
                NAME(feature_grad_row)(IDENTITY, WIDTH, dv + row * columns, dv + row * columns,
                                       here, to + 2 * part);
            }))
        }
    }
}

INLINE void NAME(divide_row)(int width, const T *x, float by, T *y) {
    float factor = 1.0f / by;
    for (int j = 0; j < width; j++)
        STORE(y + j, LOAD(x + j) * factor);
}

/* y[b, i, h] = x[b, h, i, :width] / max(total, floor); total is column `width` of x unless given.
   `totals` keeps what was divided by. */
void NAME(normalise)(int64_t batch, int64_t heads, int64_t n, int width, int columns, const T *x,
                     const T *total, float floor, T *y, float *totals, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < batch * n; i++) {
        int64_t b = i / n, token = i % n;
        for (int64_t h = 0; h < heads; h++) {
            int64_t row = (b * heads + h) * n + token;
            float sum = LOAD(total ? total + row : x + row * columns + width);
            sum = sum > floor ? sum : sum != sum ? sum : floor;
            totals[row] = sum;
            FOR_WIDTH(width, NAME(divide_row)(WIDTH, x + row * columns, sum,
                                              y + (i * heads + h) * WIDTH))
        }
    }
}

INLINE float NAME(divide_grad_row)(int width, const T *y, const T *dy, float by, T *dx) {
    float factor = 1.0f / by, along = 0;
    for (int j = 0; j < width; j++) {
        float d = LOAD(dy + j);
        along += d * LOAD(y + j);
        STORE(dx + j, d * factor);
    }
    return -along * factor;
}

/* dy is read by its strides; `d_total` is written where total was given, else column `width`. */
void NAME(normalise_backward)(int64_t batch, int64_t heads, int64_t n, int width, int columns,
                              const T *y, const float *totals, float floor, const T *dy,
                              int64_t by_batch, int64_t by_head, int64_t by_token, T *dx,
                              T *d_total, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < batch * n; i++) {
        int64_t b = i / n, token = i % n;
        for (int64_t h = 0; h < heads; h++) {
            int64_t row = (b * heads + h) * n + token;
            const T *from = dy + b * by_batch + h * by_head + token * by_token;
            T *to = dx + row * columns;
            float grad;
            FOR_WIDTH(width, grad = NAME(divide_grad_row)(WIDTH, y + (i * heads + h) * WIDTH, from,
                                                          totals[row], to))
            STORE(d_total ? d_total + row : to + width, totals[row] > floor ? grad : 0.0f);
            for (int j = width + 1; j < columns; j++)
                STORE(to + j, 0.0f);
        }
    }
}

/* --- softmax with dropout ----------------------------------------------------------------------- */

/* into[j] = scores[j] * scale + bias[j], minus infinity where there is no key. */
INLINE void NAME(biased)(int n, const T *scores, const T *bias, const uint8_t *keys, float scale,
                         float *into) {
    for (int j = 0; j < n; j++)
        into[j] = LOAD(scores + j) * scale;
    if (bias)
        for (int j = 0; j < n; j++)
            into[j] += LOAD(bias + j);
    if (keys)
        for (int j = 0; j < n; j++)
            into[j] = keys[j] ? into[j] : -INFINITY;
}

INLINE float NAME(softmax_row)(int n, T *scores, const T *bias, const uint8_t *keys, float scale,
                               float *room, uint64_t seed, dropout drop) {
    NAME(biased)(n, scores, bias, keys, scale, room);
    float top = largest(n, room), sum = 0;
    if (top == -INFINITY) {
        memset(scores, 0, n * sizeof *scores);
        return top;
    }
    for (int j = 0; j < n; j++) {
        room[j] = exponential(room[j] - top);
        sum += room[j];
    }
    float factor = 1.0f / sum;
    for (int j = 0; j < n; j++)
        STORE(scores + j, room[j] * factor * kept(seed, j, drop.threshold, drop.scale));
    return top + logf(sum);
}

/* In place: scores (rows, n) of neighbouring queries, of which the first is row `first` of its
   tensor, become dropout(softmax(scale * scores + bias)); `keys` marks the real ones, bias and keys
   may be null. `totals` keeps each row's logarithm of the sum of exponentials. */
void NAME(dropped_softmax)(int64_t rows, int64_t first, int n, T *scores, const T *bias,
                           const uint8_t *keys, float scale, float *totals, dropout drop,
                           int threads) {
#pragma omp parallel num_threads(threads)
    {
        float *room = malloc(n * sizeof *room);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < rows; i++)
            totals[i] = NAME(softmax_row)(n, scores + i * n, bias ? bias + i * n : 0, keys, scale,
                                          room, row_seed(drop.seed, first + i), drop);
        free(room);
    }
}

INLINE void NAME(softmax_grad_row)(int n, T *scores, T *grad, const T *bias, const uint8_t *keys,
                                   float scale, float total, float along, float *room,
                                   uint64_t seed, dropout drop) {
    NAME(biased)(n, scores, bias, keys, scale, room);
    for (int j = 0; j < n; j++) {
        float weight = exponential(room[j] - total);
        float factor = kept(seed, j, drop.threshold, drop.scale);
        STORE(scores + j, weight * factor);
        STORE(grad + j, weight * (LOAD(grad + j) * factor - along));
    }
}

/* In place: scores become the dropped weights again, and the gradient of these that of scale *
   scores + bias. `along` is each row's sum of output times its gradient. */
void NAME(dropped_softmax_backward)(int64_t rows, int64_t first, int n, T *scores, T *grad,
                                    const T *bias, const uint8_t *keys, float scale,
                                    const float *totals, const float *along, dropout drop,
                                    int threads) {
#pragma omp parallel num_threads(threads)
    {
        float *room = malloc(n * sizeof *room);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < rows; i++) {
            if (totals[i] == -INFINITY) {
                memset(scores + i * n, 0, n * sizeof *scores);
                memset(grad + i * n, 0, n * sizeof *grad);
            } else {
                NAME(softmax_grad_row)(n, scores + i * n, grad + i * n, bias ? bias + i * n : 0,
                                       keys, scale, totals[i], along[i], room,
                                       row_seed(drop.seed, first + i), drop);
            }
        }
        free(room);
    }
}

/* --- embedding ---------------------------------------------------------------------------------- */

/* y[i] = table[tokens[i]] */
void NAME(gather)(int64_t rows, int width, const int32_t *tokens, const float *table, T *y,
                  int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < rows; i++)
        for (int j = 0; j < width; j++)
            STORE(y + i * width + j, table[(int64_t)tokens[i] * width + j]);
}

/* d_table[t] = sum of dy[i] over the i with tokens[i] = t. `partial` holds a table a thread. */
void NAME(scatter)(int64_t rows, int width, int symbols, const int32_t *tokens, const T *dy,
                   float *partial, float *d_table, int threads) {
    int64_t share = (rows + threads - 1) / threads, size = (int64_t)symbols * width;
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int thread = 0; thread < threads; thread++) {
        float *sums = partial + thread * size;
        memset(sums, 0, size * sizeof *sums);
        int64_t last = least(rows, (thread + 1) * share);
        for (int64_t i = thread * share; i < last; i++) {
            float *to = sums + (int64_t)tokens[i] * width;
            for (int j = 0; j < width; j++)
                to[j] += LOAD(dy + i * width + j);
        }
    }
    for (int64_t j = 0; j < size; j++) {
        float sum = 0;
        for (int thread = 0; thread < threads; thread++)
            sum += partial[thread * size + j];
        d_table[j] = sum;
    }
}
