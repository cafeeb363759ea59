using System.Diagnostics.Metrics;
using System.Globalization;
using Kwik.Sessions;

namespace Kwik.Session.Tests.Diagnostics;

/// <summary>Everything that one meter measures, summed as a collector does: by instrument and tags.</summary>
internal sealed class Collected : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<string, double> _values = [];

    public Collected(KwikTelemetry telemetry)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter == telemetry.Meter)
            {
                Instruments.Add(instrument);
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Add(instrument, value, tags));
        _listener.Start();
    }

    public List<Instrument> Instruments { get; } = [];

    /// <summary>Every key of a tag that was seen, with its values.</summary>
    public Dictionary<string, HashSet<string>> Tags { get; } = [];

    /// <summary>Reads the observable ones anew.</summary>
    public Collected Observe()
    {
        lock (_gate)
        {
            foreach (Instrument instrument in Instruments.Where(instrument => instrument.IsObservable))
            {
                _values.Keys.Where(key => key.Split(' ')[0] == instrument.Name).ToList().ForEach(key => _values.Remove(key));
            }
        }

        _listener.RecordObservableInstruments();
        return this;
    }

    /// <summary>The value of an instrument with these tags, "key=value" in the order of their keys; 0 when it has none.</summary>
    public double this[string instrument, params string[] tags] => _values.GetValueOrDefault(string.Join(' ', [instrument, .. tags]));

    /// <summary>How many values there are, or their sum over all tags.</summary>
    public double Total(string instrument) => _values.Where(pair => pair.Key.Split(' ')[0] == instrument).Sum(pair => pair.Value);

    public void Dispose() => _listener.Dispose();

    private void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var words = new List<string>();
        lock (_gate)
        {
            foreach ((string key, object? tag) in tags)
            {
                string text = Convert.ToString(tag, CultureInfo.InvariantCulture)!;
                words.Add($"{key}={text}");
                (Tags.TryGetValue(key, out HashSet<string>? known) ? known : Tags[key] = []).Add(text);
            }

            string name = string.Join(' ', [instrument.Name, .. words.Order(StringComparer.Ordinal)]);
            // Of what lasts, how often it happened.
            _values[name] = _values.GetValueOrDefault(name) + (instrument is Histogram<double> ? 1 : value);
        }
    }
}
