/* The chart of a bench: throughput against batch size, both logarithmic, a panel for each operation and population, a
 * line for each device; where the machine's limit is known, it is drawn dashed. SVG, since every browser and
 * typesetter takes it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/bench.h"

enum { PANELS_MAX = 16, SERIES_MAX = 8, POINTS_MAX = 16, COLUMNS = 2 };
enum { WIDTH = 460, HEIGHT = 300, LEFT = 62, RIGHT = 12, TOP = 34, BOTTOM = 44, LEGEND = 30 };

/* Okabe and Ito's colours, which the colour-blind can tell apart. */
static const char *const colours[SERIES_MAX] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                "#E69F00", "#56B4E9", "#000000", "#999999"};

typedef struct point {
    double batch, value, limit; /* limit: 0 when there is none */
} point;

typedef struct series {
    const char *device;
    point points[POINTS_MAX];
    size_t count;
} series;

typedef struct panel {
    const char *op, *input, *unit;
    double rows;
    series series[SERIES_MAX];
    size_t count;
} panel;

typedef struct chart {
    panel panels[PANELS_MAX];
    size_t count;
    const char *devices[SERIES_MAX];
    size_t device_count;
} chart;

/* ---- gathering ---- */

static const char *text_of(const json_t *result, const char *key)
{
    const char *text = json_string_value(json_object_get(result, key));
    return text != NULL ? text : "";
}

static double number_of(const json_t *result, const char *key)
{
    return json_number_value(json_object_get(result, key));
}

static panel *find_panel(chart *c, const json_t *result)
{
    const char *op = text_of(result, "op"), *input = text_of(result, "input");
    double rows = number_of(result, "rows");
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->panels[i].op, op) == 0 && strcmp(c->panels[i].input, input) == 0 && c->panels[i].rows == rows)
            return &c->panels[i];
    if (c->count == PANELS_MAX)
        return NULL;
    c->panels[c->count] = (panel){.op = op, .input = input, .unit = text_of(result, "unit"), .rows = rows};
    return &c->panels[c->count++];
}

static series *find_series(panel *p, const char *device)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->series[i].device, device) == 0)
            return &p->series[i];
    if (p->count == SERIES_MAX)
        return NULL;
    p->series[p->count] = (series){.device = device};
    return &p->series[p->count++];
}

static void note_device(chart *c, const char *device)
{
    for (size_t i = 0; i < c->device_count; i++)
        if (strcmp(c->devices[i], device) == 0)
            return;
    if (c->device_count < SERIES_MAX)
        c->devices[c->device_count++] = device;
}

static const char *colour_of(const chart *c, const char *device)
{
    for (size_t i = 0; i < c->device_count; i++)
        if (strcmp(c->devices[i], device) == 0)
            return colours[i];
    return colours[SERIES_MAX - 1];
}

/* Results that have a batch; others have no place in a chart of this kind, nor has a query with a minimum, which is measured
 * alone. */
static void gather(chart *c, const json_t *results)
{
    size_t i;
    const json_t *result;
    json_array_foreach(results, i, result)
    {
        double batch = number_of(result, "batch"), value = number_of(result, "value");
        if (batch < 1 || !(value > 0) || strcmp(text_of(result, "op"), "min0.5") == 0)
            continue;
        panel *p = find_panel(c, result);
        series *s = p != NULL ? find_series(p, text_of(result, "device")) : NULL;
        if (s == NULL || s->count == POINTS_MAX)
            continue;
        s->points[s->count++] = (point){batch, value, number_of(result, "limit")};
        note_device(c, s->device);
    }
}

/* ---- scales ---- */

typedef struct scale {
    double low, high; /* of the logarithm to base 10 */
    double from, to;  /* where these lie */
} scale;

static double place(const scale *s, double value)
{
    return s->from + (log10(value) - s->low) / (s->high - s->low) * (s->to - s->from);
}

static void widen(scale *s, double value)
{
    if (value <= 0)
        return;
    s->low = fmin(s->low, log10(value));
    s->high = fmax(s->high, log10(value));
}

static void make_scales(const panel *p, double x, double y, scale *batches, scale *values)
{
    *batches = *values = (scale){INFINITY, -INFINITY, 0, 0};
    for (size_t i = 0; i < p->count; i++)
        for (size_t n = 0; n < p->series[i].count; n++) {
            widen(batches, p->series[i].points[n].batch);
            widen(values, p->series[i].points[n].value);
            widen(values, p->series[i].points[n].limit);
        }
    /* Whole decades of the throughput, and a little room at the sides. */
    values->low = floor(values->low - 0.05);
    values->high = ceil(values->high + 0.05);
    batches->low -= 0.12;
    batches->high += 0.12;
    *batches = (scale){batches->low, batches->high, x + LEFT, x + WIDTH - RIGHT};
    *values = (scale){values->low, values->high, y + HEIGHT - BOTTOM, y + TOP};
}

/* 1500000 as "1.5M". */
static const char *short_number(char text[16], double value)
{
    static const char suffixes[] = " kMGTP";
    unsigned step = 0;
    for (; value >= 999.5 && step < sizeof suffixes - 2; step++)
        value /= 1000;
    snprintf(text, 16, "%.3g%.*s", value, step != 0, &suffixes[step]);
    return text;
}

/* ---- drawing ---- */

static void draw_text(FILE *out, double x, double y, const char *anchor, const char *more, const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" %s>", x, y, anchor, more);
    for (; *text != 0; text++)
        if (*text == '<' || *text == '&')
            fputs(*text == '<' ? "&lt;" : "&amp;", out);
        else
            fputc(*text, out);
    fputs("</text>\n", out);
}

static void draw_axes(FILE *out, const panel *p, const scale *batches, const scale *values)
{
    char text[16];
    for (double decade = values->low; decade <= values->high + 0.01; decade++) {
        double y = place(values, pow(10, decade));
        fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", batches->from, y,
                batches->to, y);
        draw_text(out, batches->from - 6, y + 4, "end", "", short_number(text, pow(10, decade)));
    }
    /* The batches that were measured, once each. */
    for (size_t i = 0; i < p->series[0].count; i++) {
        double x = place(batches, p->series[0].points[i].batch);
        fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#888\"/>\n", x, values->from, x,
                values->from + 4);
        draw_text(out, x, values->from + 16, "middle", "", short_number(text, p->series[0].points[i].batch));
    }
    fprintf(out, "<path d=\"M%.1f %.1fV%.1fH%.1f\" fill=\"none\" stroke=\"#444\"/>\n", batches->from, values->to,
            values->from, batches->to);
}

static void draw_line(FILE *out, const series *s, bool limit, const char *colour, const scale *batches,
                      const scale *values)
{
    bool begun = false;
    for (size_t i = 0; i < s->count; i++) {
        double value = limit ? s->points[i].limit : s->points[i].value;
        if (value <= 0)
            continue;
        fprintf(out, "%s%.1f %.1f", begun ? "L" : "<path d=\"M", place(batches, s->points[i].batch),
                place(values, value));
        begun = true;
    }
    if (begun)
        fprintf(out, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"%s\"%s/>\n", limit ? "#666" : colour,
                limit ? "1" : "2", limit ? " stroke-dasharray=\"5 4\"" : "");
    for (size_t i = 0; i < s->count && !limit; i++)
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", place(batches, s->points[i].batch),
                place(values, s->points[i].value), colour);
}

static void draw_panel(FILE *out, const chart *c, const panel *p, double x, double y)
{
    char title[160], number[16];
    scale batches, values;
    make_scales(p, x, y, &batches, &values);
    if (p->rows > 0)
        snprintf(title, sizeof title, "%s, %s, %s rows", p->op, p->input, short_number(number, p->rows));
    else
        snprintf(title, sizeof title, "%s, %s", p->op, p->input);
    draw_text(out, x + LEFT, y + 20, "start", "font-weight=\"bold\"", title);
    draw_axes(out, p, &batches, &values);
    draw_text(out, (batches.from + batches.to) / 2, y + HEIGHT - 10, "middle", "fill=\"#444\"", "batch");
    fprintf(out, "<g transform=\"translate(%.1f %.1f) rotate(-90)\">", x + 14, (values.from + values.to) / 2);
    draw_text(out, 0, 0, "middle", "fill=\"#444\"", p->unit);
    fputs("</g>\n", out);
    for (size_t i = 0; i < p->count; i++) {
        draw_line(out, &p->series[i], true, "", &batches, &values);
        draw_line(out, &p->series[i], false, colour_of(c, p->series[i].device), &batches, &values);
    }
}

static void draw_legend(FILE *out, const chart *c)
{
    double x = LEFT;
    for (size_t i = 0; i < c->device_count; i++) {
        fprintf(out, "<line x1=\"%.1f\" y1=\"18\" x2=\"%.1f\" y2=\"18\" stroke=\"%s\" stroke-width=\"2\"/>\n", x, x + 22,
                colours[i]);
        draw_text(out, x + 28, 22, "start", "", c->devices[i]);
        x += 46 + 7.0 * (double)strlen(c->devices[i]);
    }
    fprintf(out, "<line x1=\"%.1f\" y1=\"18\" x2=\"%.1f\" y2=\"18\" stroke=\"#666\" stroke-dasharray=\"5 4\"/>\n", x,
            x + 22);
    draw_text(out, x + 28, 22, "start", "", "the machine's limit");
}

static void draw(FILE *out, const chart *c)
{
    size_t lines = (c->count + COLUMNS - 1) / COLUMNS;
    size_t height = LEGEND + lines * HEIGHT;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" viewBox=\"0 0 %d %zu\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            COLUMNS * WIDTH, height, COLUMNS * WIDTH, height);
    draw_legend(out, c);
    for (size_t i = 0; i < c->count; i++)
        draw_panel(out, c, &c->panels[i], (double)(i % COLUMNS * WIDTH), (double)(LEGEND + i / COLUMNS * HEIGHT));
    fputs("</svg>\n", out);
}

engram_status eg_bench_plot(const json_t *results, const char *path, engram_error *error)
{
    chart *c = eg_alloc_zero(1, sizeof *c);
    if (c == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a chart");
    gather(c, results);
    FILE *out = c->count != 0 ? fopen(path, "we") : NULL;
    if (out != NULL)
        draw(out, c);
    bool failed = out != NULL && (ferror(out) != 0) | (fclose(out) != 0);
    engram_status status = c->count == 0 ? eg_fail(error, ENGRAM_INVALID, "--plot: nothing was measured that has batches: encode, bundle or query")
                           : out == NULL || failed ? eg_fail_os(error, errno, "cannot write %s", path)
                                                   : ENGRAM_OK;
    eg_free(c);
    return status;
}
