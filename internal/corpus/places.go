package corpus

import (
	"archive/tar"
	"fmt"
	"strings"
)

// headers are places in a layer that are no file's content.
func (b *bed) headers(kind, v string, one bool) {
	put := func(form string, h tar.Header) {
		if h.Name == "" {
			h.Name = b.name("srv/headers", form, kind, "file")
		}
		b.plant(entry{Header: h}, Plant{Form: form, Kind: kind, Path: b.name("srv/headers", form, kind, "")})
	}
	in := func(form, rest string) string { return b.name("srv/headers", form, kind, "") + "/" + rest }
	put("xattr", tar.Header{PAXRecords: map[string]string{"SCHILY.xattr.user.comment": v}})
	put("PAX record", tar.Header{PAXRecords: map[string]string{"VENDOR.password": v}})
	if !one {
		return
	}
	put("file name", tar.Header{Name: in("file name", "backup-"+v+".sql")})
	put("long file name", tar.Header{Name: in("long file name", strings.Repeat("long/", 40)+v)})
	put("long file name, as GNU has it", tar.Header{Format: tar.FormatGNU, Name: in("long file name, as GNU has it", strings.Repeat("long/", 40)+v)})
	// At its last slash a name of more than 100 bytes is cut in two fields.
	put("file name in two fields", tar.Header{Format: tar.FormatUSTAR, Name: in("file name in two fields", strings.Repeat("x", 60)+"/"+v)})
	put("name of a folder", tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, Name: in("name of a folder", v+"/")})
	put("link's target", tar.Header{Typeflag: tar.TypeSymlink, Linkname: "/run/" + v})
	put("hard link's target", tar.Header{Typeflag: tar.TypeLink, Linkname: "run/" + v})
	put("long link's target", tar.Header{Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("../", 50) + v})
	put("owner", tar.Header{Uname: v})
	put("group", tar.Header{Gname: v})
}

// settings are the places in an image's documents.
func (b *bed) settings(kind, v string, one bool) {
	config := b.config["config"].(object)
	at := func(form, field string) { b.list(Plant{Form: form, Kind: kind, Field: field}) }
	env := config["Env"].([]string)
	config["Env"] = append(env, strings.ToUpper(kind)+"="+v)
	at("environment", fmt.Sprintf("config.Env[%d]", len(env)))
	config["Labels"].(map[string]string)["com.example."+kind] = "value " + v
	at("label", "config.Labels.com.example."+kind)
	add := func(list any, form, field, text string) []string {
		old, _ := list.([]string)
		at(form, fmt.Sprintf("%s[%d]", field, len(old)))
		return append(old, text)
	}
	config["Entrypoint"] = add(config["Entrypoint"], "entry point", "config.Entrypoint", "--password="+v)
	config["Cmd"] = add(config["Cmd"], "command", "config.Cmd", v)
	config["OnBuild"] = add(config["OnBuild"], "trigger", "config.OnBuild", "RUN login "+v)
	check, ok := config["Healthcheck"].(object)
	if !ok {
		check = object{"Test": []string{"CMD-SHELL"}}
		config["Healthcheck"] = check
	}
	check["Test"] = add(check["Test"], "health check", "config.Healthcheck.Test", "curl -u admin:"+v+" localhost")
	history := b.config["history"].([]object)
	b.config["history"] = append(history,
		object{"created_by": "RUN |1 PW=" + v + " /bin/sh -c make # buildkit", "empty_layer": true},
		object{"created_by": "CMD", "comment": "by " + v, "empty_layer": true})
	at("history", fmt.Sprintf("history[%d].created_by", len(history)))
	at("comment in the history", fmt.Sprintf("history[%d].comment", len(history)+1))
	if one {
		b.config["x-"+kind] = object{"nobody": []string{v}}
		at("field that nobody knows", "x-"+kind+".nobody[0]")
	}
	b.annotations(kind, v)
}

// annotations are the places in manifests, in the index and in attestations.
func (b *bed) annotations(kind, v string) {
	at := func(form, field string) { b.list(Plant{Form: form, Kind: kind, Field: field}) }
	b.manifestNotes["com.example.m."+kind] = v
	at("annotation of the manifest", "annotations.com.example.m."+kind)
	b.indexNotes["com.example.i."+kind] = v
	at("annotation of the index", "annotations.com.example.i."+kind)
	b.imageNotes["com.example.d."+kind] = v
	at("annotation of an image's descriptor", "manifests[0].annotations.com.example.d."+kind)
	b.layerNotes["com.example.l."+kind] = v
	at("annotation of a layer's descriptor", "layers[0].annotations.com.example.l."+kind)
	predicate := b.statement["predicate"].(object)
	predicate["build-arg:"+kind] = v
	at("attestation", "predicate.build-arg:"+kind)
}
