using System.Globalization;
using System.Reflection;
using Microsoft.Extensions.Logging;

namespace Kwik.Architecture.Tests;

/// <summary>One message of a log class.</summary>
internal sealed record LogEvent(int Id, string Name, LogLevel Level)
{
    /// <summary>Every LoggerMessage of an assembly.</summary>
    public static IEnumerable<LogEvent> Of(Assembly assembly) => assembly.GetTypes().SelectMany(Of);

    /// <summary>Every LoggerMessage of a type.</summary>
    public static IEnumerable<LogEvent> Of(Type type) =>
        from method in type.GetMethods(BindingFlags.DeclaredOnly | BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
        let message = method.GetCustomAttribute<LoggerMessageAttribute>()
        where message is not null
        select new LogEvent(message.EventId, message.EventName ?? method.Name, message.Level);

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Id} {Name} {Level}");
}
